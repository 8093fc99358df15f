// Which instruction-set variants this build holds and this processor runs.
#pragma once
#include "kernels.h"

namespace lodestone {

struct Variant {
  const Kernels* kernels;
  bool supported;     // by this processor and operating system
  const char* title;  // for people
};

// Best first; the last is always supported.
const Variant* variants(int* count);

// Hardware threads worth using: those this process may run on, one per physical core.
int default_threads();

}  // namespace lodestone
