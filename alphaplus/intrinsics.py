"""What processors can do and numba does not offer, as functions for kernels."""

from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

_KEEP: Final = 3
_DATA: Final = 1


def _prefetching(is_write: bool) -> Any:
    def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            made = context.make_array(signature.args[0])(context, builder, arguments[0])
            element = builder.gep(made.data, [arguments[1]])
            where = builder.bitcast(element, ir.PointerType(ir.IntType(8)))
            hint = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [where.type, hint, hint, hint])
            name = "llvm.prefetch.p0"
            call = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(call, [where, hint(int(is_write)), hint(_KEEP), hint(_DATA)])
            return context.get_dummy_value()

        return types.none(array, types.uint64), generate

    return prefetch


prefetch: Any = intrinsic(_prefetching(is_write=False))
"""`prefetch(array, index)`: ask for the memory of an element that is read soon.

The index, an uint64, may be any: what lies behind the array is asked for in vain.
"""
prefetch_to_write: Any = intrinsic(_prefetching(is_write=True))
"""The same for an element that is written soon."""


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Return the place (0 to 63) of the lowest set bit of an int64, which must not be 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


lowest_bit: Any = intrinsic(_lowest_bit)
