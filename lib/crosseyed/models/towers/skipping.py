"""Let modules of a tower do nothing, because what they would compute is known, or only what is needed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from crosseyed.errors import InputError


@contextmanager
def returning(modules: Iterable[nn.Module], state: Tensor) -> Iterator[None]:
    """Let modules return a state, without computing anything, within the context.

    Raises InputError if something is to be changed inside one of them, which would be without effect.
    """
    modules = list(modules)
    if any(inside._forward_pre_hooks for module in modules for inside in module.modules()):
        raise InputError("The tower is resumed behind a block that is changed: resume it at a depth before.")
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(computing(module, lambda *_, **__: state))
        yield


@contextmanager
def computing(module: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Let a module compute something else within the context; who listens to it hears that."""
    try:
        module.forward = forward
        yield
    finally:
        vars(module).pop("forward", None)  # which hid the method of the class


@contextmanager
def given(module: nn.Module, state: Tensor) -> Iterator[None]:
    """Let a module take a state in place of its first argument, before all who listen, within the context."""
    hook = module.register_forward_pre_hook(lambda _, inputs: (state, *inputs[1:]), prepend=True)
    try:
        yield
    finally:
        hook.remove()
