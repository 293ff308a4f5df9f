// Who guesses is let wait: a second after the last free guess, then two, four and so on (T9). A slow machine lets them pass.

/** How many more than the free ones may have been looked at since `from` (performance.now()). */
export const more = (from) => Math.floor(Math.log2((performance.now() - from) / 1000 + 1));

/** Whoever has to wait now waits longer than any test does. */
export const hold = (stack) => stack.rows("UPDATE attempts SET blocked_until = blocked_until + interval '5 minutes' WHERE blocked_until > '-infinity'");
