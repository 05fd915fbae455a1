"""Errors that a user can act on.

Every message names the file or argument at fault and what to do about it. The command line prints the
message alone, without a traceback, and exits with status 2; a library caller catches `DermsegError`.
"""


class DermsegError(Exception):
    """Base of every error this package raises on purpose."""


class DataError(DermsegError):
    """An image, a mask, a split or a dataset folder cannot be used."""


class CheckpointError(DermsegError):
    """A weight file is unreadable, or its keys or shapes do not fit the model."""


class ConfigError(DermsegError):
    """An argument or a configuration value is wrong."""


class DermsegWarning(UserWarning):
    """Base of every warning this package emits on purpose."""
