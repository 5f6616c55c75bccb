"""The heaps of GNU's C++ library, which decide which of several equals comes first.

A heap is a list of entries with the largest of `keys[entry]` in front; the children of place p are 2p + 1 and 2p + 2.
"""


def rise(heap, keys, place, entry, top=0):
    """The entry goes to `place`, or as far up to `top` as those above have smaller keys."""
    while place > top and keys[heap[(place - 1) // 2]] < keys[entry]:
        heap[place] = heap[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place] = entry


def fill(heap, keys, place, entry, size):
    """`place` is filled with the larger child, of equals the second, and so on to a leaf; there the entry rises."""
    top = place
    while 2 * place + 1 < size:
        child = 2 * place + 2
        if child >= size or keys[heap[child]] < keys[heap[child - 1]]:
            child -= 1
        heap[place] = heap[child]
        place = child
    rise(heap, keys, place, entry, top)


def push(heap, keys, entry):
    heap.append(entry)
    rise(heap, keys, len(heap) - 1, entry)


def pop(heap, keys):
    """The entry with the largest key, taken out."""
    first, last = heap[0], heap.pop()
    if heap:
        fill(heap, keys, 0, last, len(heap))
    return first


def smallest(keys, count):
    """Where the `count` smallest keys are, rising: what std::partial_sort puts in front."""
    heap = list(range(count))
    for place in reversed(range(count // 2)):
        fill(heap, keys, place, heap[place], count)
    for entry in range(count, len(keys)):
        if keys[entry] < keys[heap[0]]:
            fill(heap, keys, 0, entry, count)
    for size in reversed(range(1, count)):
        entry, heap[size] = heap[size], heap[0]
        fill(heap, keys, 0, entry, size)
    return heap
