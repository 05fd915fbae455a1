"""Settings that every test shares."""

from hypothesis import settings

# The first example of a property may compile a kernel, which takes longer than any deadline worth setting.
settings.register_profile("dermseg", deadline=None)
settings.load_profile("dermseg")
