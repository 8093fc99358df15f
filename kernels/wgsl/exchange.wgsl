// What the threads of a workgroup tell each other, in pairs: sums, maxima and the like of 2, 4, 8, ... neighbours, a step at a
// time. Every step takes the same pairs, by subgroup operations or through workgroup memory; and a pair's sum is the same in
// both. So all threads have the result, in the same order of sums whatever the size of subgroups is, or if there are none.
//
// Constants: SUBGROUP: so many threads with neighbouring numbers are surely in one subgroup; 0 without subgroups.
// What includes it has THREADS, COUNT, and Numbers: an array of COUNT numbers, which a thread tells at a time.
#if SUBGROUP
enable subgroups;
#endif

// Two, by turns: so one barrier is enough.
var<workgroup> told: array<array<Numbers, THREADS>, 2>;
var<private> turn: u32;

// The numbers of the thread whose own number differs by `step`, a power of two. All threads must call it.
fn from_other(numbers: Numbers, step: u32, thread: u32) -> Numbers {
#if SUBGROUP
  if (step < SUBGROUP) {
    var others: Numbers;
    for (var i = 0u; i < COUNT; i++) {
      others[i] = subgroupShuffleXor(numbers[i], step);
    }
    return others;
  }
#endif
  turn = 1u - turn;
  told[turn][thread] = numbers;
  workgroupBarrier();
  return told[turn][thread ^ step];
}
