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
namespace avxvnni { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace neon { extern const Kernels kernels; }
namespace scalar { extern const Kernels kernels; }

#if defined(__x86_64__)
struct X86 {
  bool avx2 = false, avxvnni = false, avx512 = false, bf16 = false;
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
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    out.avxvnni = out.avx2 && bit(a, 4);
    out.bf16 = out.avx512 && bit(a, 5);
  }
  return out;
}
#endif

const Variant* variants(int* count) {
#if defined(__x86_64__)
  static const X86 has = ask_processor();
  static const Variant list[] = {
      {&avx512::kernels, has.avx512, has.bf16, has.bf16 ? "AVX-512 VNNI BF16" : "AVX-512 VNNI"},
      {&avxvnni::kernels, has.avxvnni, false, "AVX2 with VNNI"},
      {&avx2::kernels, has.avx2, false, "AVX2"},
      {&scalar::kernels, true, false, "scalar"},
  };
#elif defined(__aarch64__)
#if defined(__APPLE__)
  const bool dot = true;
#else
  const bool dot = (getauxval(AT_HWCAP) & (1UL << 20)) != 0;  // HWCAP_ASIMDDP
#endif
  static const Variant list[] = {
      {&neon::kernels, dot, false, "NEON with dot products"},
      {&scalar::kernels, true, false, "scalar"},
  };
#else
  static const Variant list[] = {{&scalar::kernels, true, false, "scalar"}};
#endif
  *count = int(sizeof list / sizeof list[0]);
  return list;
}

#if defined(__linux__)
// Processors' worth of time that a container may use, or a large number.
static int time_limit() {
  double quota = 0, period = 0;
  if (FILE* file = fopen("/sys/fs/cgroup/cpu.max", "r")) {  // "max 100000" where there is no limit
    if (fscanf(file, "%lf %lf", &quota, &period) != 2) quota = 0;
    fclose(file);
  } else {
    auto read = [](const char* path, double* value) {
      FILE* file = fopen(path, "r");
      if (!file) return;
      if (fscanf(file, "%lf", value) != 1) *value = 0;
      fclose(file);
    };
    read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota);
    read("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period);
  }
  if (quota <= 0 || period <= 0) return 1 << 20;
  const int whole = int(quota / period);
  return whole > 0 ? whole : 1;
}
#endif

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
  const int limit = time_limit();
  cores = cores < limit ? cores : limit;
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
