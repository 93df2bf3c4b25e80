"""Stands in for a module in the namespace of the application, and nowhere else."""


class Shim:
    """The module, with some of its functions exchanged."""

    def __init__(self, module, **exchanged):
        self.module = module
        self.__dict__.update(exchanged)

    def __getattr__(self, name):
        return getattr(self.module, name)
