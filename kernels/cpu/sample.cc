// The token that follows, drawn as src/device/sampling.ts says, and ln of its probability. Of no variant: what is long in it is
// log_sum_exp.cc, and the standard library's templates must not be compiled for one processor and linked for another.
#include "commands.h"
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace lodestone {
namespace {

// One output of the PCG family.
uint32_t pcg(uint32_t value) {
  const uint32_t state = value * 747796405u + 2891336453u;
  const uint32_t word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
  return (word >> 22) ^ word;
}

double gumbel(uint32_t stream, uint32_t id) {
  const uint32_t bits = pcg(stream ^ id);
  const double v = (double(bits) + 0.5) / 4294967296.0;
  const double exponential = v < 1e-3 ? v + v * v / 2 : -std::log((double(~bits) + 0.5) / 4294967296.0);
  return -std::log(exponential);
}
constexpr double most_gumbel = 23;

// The least logit that may be drawn.
double cutoff(const Sample& c, float max) {
  const bool all = c.top_k <= 0 && c.top_p >= 1;
  double least = c.min_p > 0 ? max + c.temperature * std::log(c.min_p) : -std::numeric_limits<double>::infinity();
  if (all) return std::min(double(max), least);
  std::vector<float> kept;
  for (int64_t i = 0; i < c.count; i++) {
    if (c.logits[i] > -std::numeric_limits<float>::infinity()) kept.push_back(c.logits[i]);
  }
  if (c.top_k > 0 && c.top_k < int64_t(kept.size())) {
    std::nth_element(kept.begin(), kept.begin() + (c.top_k - 1), kept.end(), std::greater<float>());
    const float bound = kept[size_t(c.top_k - 1)];
    kept.erase(std::remove_if(kept.begin(), kept.end(), [&](float logit) { return logit < bound; }), kept.end());
    least = std::max(least, double(bound));
  }
  if (c.top_p < 1) {
    const auto weight = [&](float logit) { return std::exp((double(logit) - max) / c.temperature); };
    double total = 0;
    for (float logit : kept) total += weight(logit);
    // Lighter tokens weigh less than 1 - top_p together, so none of them is needed; the others are sorted.
    const double light = (1 - c.top_p) * total / double(kept.size());
    kept.erase(std::remove_if(kept.begin(), kept.end(), [&](float logit) { return weight(logit) < light; }), kept.end());
    std::sort(kept.begin(), kept.end(), std::greater<float>());
    double before = 0;
    size_t at = 0;
    for (; at + 1 < kept.size(); at++) {
      before += weight(kept[at]);
      if (before >= c.top_p * total) break;
    }
    least = std::max(least, double(kept[at]));
  }
  return std::min(double(max), least);
}

}  // namespace

void Executor::run_one(SampleCommand& command) {
  const Sample& c = command.args;
  const float max = kernels_.largest(c.logits, c.count);
  if (!(max > -std::numeric_limits<float>::infinity())) {
    *c.id = 0xffffffffu;
    return;
  }
  int64_t best = 0;
  while (c.logits[best] != max) best++;
  if (c.temperature > 0) {
    const double least = cutoff(c, max);
    double score = c.logits[best] / c.temperature + gumbel(c.stream, uint32_t(best));
    for (int64_t id = 0; id < c.count; id++) {
      const double logit = c.logits[id];
      if (!(logit >= least) || logit / c.temperature + most_gumbel < score) continue;
      const double other = logit / c.temperature + gumbel(c.stream, uint32_t(id));
      if (other > score || (other == score && id < best)) {
        best = id;
        score = other;
      }
    }
  }
  *c.id = uint32_t(best);
  *c.log_probability = float(c.logits[best] - kernels_.log_sum_exp(c.logits, c.count, max));
}

}  // namespace lodestone
