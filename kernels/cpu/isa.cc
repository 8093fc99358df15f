#include "isa.h"

#include <stdio.h>
#include <string.h>

#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sched.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace lodestone {

namespace avx512 { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace neon { extern const Kernels kernels; }
namespace scalar { extern const Kernels kernels; }

#if defined(__x86_64__)
struct X86 {
  bool avx2 = false, avx512 = false;
};

static X86 ask_processor() {
  X86 out;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return out;
  auto bit = [](unsigned value, int at) { return (value >> at & 1) != 0; };
  const bool fma = bit(c, 12), osxsave = bit(c, 27), avx = bit(c, 28), f16c = bit(c, 29);
  if (!(fma && osxsave && avx && f16c)) return out;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));  // which registers the operating system saves
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return out;
  out.avx2 = (low & 0x06) == 0x06 && bit(b, 5);
  const bool foundation = bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);  // F, DQ, BW, VL
  out.avx512 = out.avx2 && (low & 0xe6) == 0xe6 && foundation && bit(c, 11);     // and VNNI
  return out;
}
#endif

const Variant* variants(int* count) {
#if defined(__x86_64__)
  static const X86 has = ask_processor();
  static const Variant list[] = {
      {&avx512::kernels, has.avx512, "AVX-512 VNNI"},
      {&avx2::kernels, has.avx2, "AVX2"},
      {&scalar::kernels, true, "scalar"},
  };
#elif defined(__aarch64__)
#if defined(__APPLE__)
  const bool dot = true;
#else
  const bool dot = (getauxval(AT_HWCAP) & (1UL << 20)) != 0;  // HWCAP_ASIMDDP
#endif
  static const Variant list[] = {
      {&neon::kernels, dot, "NEON with dot products"},
      {&scalar::kernels, true, "scalar"},
  };
#else
  static const Variant list[] = {{&scalar::kernels, true, "scalar"}};
#endif
  *count = int(sizeof list / sizeof list[0]);
  return list;
}

int default_threads() {
  const int logical = int(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return logical > 0 ? logical : 1;
  int cores = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    // A core counts once: at its first hardware thread that we may use.
    char path[96], text[64] = "";
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    bool first = true;
    if (FILE* file = fopen(path, "r")) {
      int sibling;
      if (fgets(text, sizeof text, file) && sscanf(text, "%d", &sibling) == 1 && sibling < cpu && sibling >= 0 && sibling < CPU_SETSIZE)
        first = !CPU_ISSET(sibling, &allowed);
      fclose(file);
    }
    cores += first;
  }
  return cores > 0 ? cores : 1;
#elif defined(__APPLE__)
  int cores = 0;  // performance cores where there are two kinds
  size_t size = sizeof cores;
  if (sysctlbyname("hw.perflevel0.physicalcpu", &cores, &size, nullptr, 0) == 0 && cores > 0) return cores;
  if (sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) == 0 && cores > 0) return cores;
  return logical > 0 ? logical : 1;
#else
  return logical > 0 ? logical : 1;
#endif
}

}  // namespace lodestone
