"""The words of the blocks, for emitters and kernels alike: a file for each module of kernels.

Strides and sizes are in bytes unless their words say otherwise.
"""
