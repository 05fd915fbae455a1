"""dermseg: the border of a skin lesion in a dermoscopic image."""

__version__ = "0.1.0"
