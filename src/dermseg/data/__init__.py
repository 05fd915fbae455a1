"""Data: pairs of images and masks, their splits, the cache that training reads, and synthetic lesions."""
