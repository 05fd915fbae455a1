"""The loops of `dermseg.data.augmentation.cpu`, compiled.

A pixel is read, computed and written once, as 8 bits; as operators of PyTorch, every step of the way is an
array of floats in memory. Pixels are taken in blocks, which stay in the nearest cache, so that what is not
looked up becomes vector instructions.
"""
