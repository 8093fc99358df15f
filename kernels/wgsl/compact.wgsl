// COMPACT: short loops stay loops. Drivers that compute on the processor would unroll them, and take seconds to compile it.
// `zero` is 0, which such a driver must not know.
fn turns(count: u32, zero: u32) -> u32 {
  if (COMPACT) {
    return count + zero;
  }
  return count;
}
