// Which instruction-set variants this build holds and this processor runs.
#pragma once
#include "kernels.h"

namespace lodestone {

struct Variant {
  const Kernels* kernels;
  bool supported;     // by this processor and operating system
  bool bf16;          // its bf16 dot product too
  const char* title;  // for people
};

// Best first; the last is always supported.
const Variant* variants(int* count);

// Threads worth using: one per physical core that this process may run on, within a container's share of time.
int default_threads();

}  // namespace lodestone
