"""The most streams that hold, by doubling and bisection from a first guess."""

from collections.abc import Callable

MOST = 4096  # streams that nobody has on a core


def largest(holds: Callable[[int], bool], guess: int = 1, most: int = MOST) -> int:
    """The largest number up to `most` that holds, if all below it do; 0 for none.

    Starts at the guess and goes the way it points in steps of 1, 2, 4, ...; then bisects. Near a good guess that is two
    calls: one that holds, one that does not.
    """
    guess, stride = min(max(1, guess), most), 1
    if holds(guess):
        low, high = guess, most + 1
        while low + stride < high:
            if not holds(low + stride):
                high = low + stride
                break
            low, stride = low + stride, 2 * stride
    else:
        low, high = 0, guess
        while high - stride > low:
            if holds(high - stride):
                low = high - stride
                break
            high, stride = high - stride, 2 * stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
