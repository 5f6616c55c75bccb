"""Comparisons, logic and choices, element by element; what is true or false is a byte that holds 1 or 0."""

from minitfl.engine.source.elementwise import LANES, Operation, walks
from minitfl.engine.source.ir import I8, constant, vector

COMPARED = ("f32", "i32", "i64", "u8")
CHOSEN = ("u8", "i16", "f32", "i64")  # by size: nothing is computed


def lanes(element):
    return LANES // 2 if element == "i64" else LANES


def comparison(element, sign):
    """x1 sign x2; only != is true where one is NaN."""

    def start(b, numbers):
        def compute(x1, x2):
            if element[0] == "f":
                found = (b.fcmp_unordered if sign == "!=" else b.fcmp_ordered)(sign, x1, x2)
            else:
                found = (b.icmp_unsigned if element[0] == "u" else b.icmp_signed)(sign, x1, x2)
            return b.zext(found, vector(I8, numbers.lanes))

        return compute

    return Operation(f"{element} {element}", "u8", "", start, lanes(element))


def choice(element):
    def start(b, numbers):
        return lambda condition, x1, x2: b.select(b.icmp_signed("!=", condition, constant(condition.type, 0)), x1, x2)

    return Operation(f"u8 {element} {element}", element, "", start, lanes(element))


def logic(operands, combine):
    def start(b, numbers):
        def compute(*x):
            found = combine(b, *(b.icmp_signed("!=", one, constant(one.type, 0)) for one in x))
            return b.zext(found, vector(I8, numbers.lanes))

        return compute

    return Operation(operands, "u8", "", start, 4 * LANES, 1)


KERNELS = walks(
    {f"equal_{element}": comparison(element, "==") for element in COMPARED}
    | {f"not_equal_{element}": comparison(element, "!=") for element in COMPARED}
    | {f"less_{element}": comparison(element, "<") for element in COMPARED}
    | {f"less_equal_{element}": comparison(element, "<=") for element in COMPARED}
    | {f"select_{element}": choice(element) for element in CHOSEN}
    | {
        "logical_and": logic("u8 u8", lambda b, x1, x2: b.and_(x1, x2)),
        "logical_or": logic("u8 u8", lambda b, x1, x2: b.or_(x1, x2)),
        "logical_not": logic("u8", lambda b, x: b.not_(x)),
    }
)
