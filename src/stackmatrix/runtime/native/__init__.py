"""The matrix without Docker: the same stacks and upstreams as processes of this machine."""

from stackmatrix.runtime.native.runtime import NativeRuntime

__all__ = ["NativeRuntime"]
