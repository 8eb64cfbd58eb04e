// Sweeps and dumps of csrc/core's mathematics, one job per call; built and run by tests/native.py.
//
//   cpu                        instruction sets of this machine
//   exp FORM STRIDE ERRORS     every STRIDE-th float in [-60, 0]: inversions, worst error, checksum
//   log COUNT ULPS             COUNT random inputs each of log_positive and log1p_negative
//   kat                        Philox blocks of the known-answer vectors
//   dump WHAT IN OUT           values for the raw inputs in a file
#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/double_double.h"
#include "core/draw.h"
#include "core/exp.h"
#include "core/exp64.h"
#include "core/log.h"
#include "core/philox.h"

namespace core = aligndec::core;

namespace {

// The forms that fail: ln 2 as one constant (error), plain Horner down to the constant (order).
template <bool one_constant, bool horner>
float rejected_exp32(float t) {
  using K = core::Exp32;
  const float s = core::fma32(t, K::kLog2E, K::kMagic);
  const float n = s - K::kMagic;
  float r = core::fma32(n, K::kMinusLn2Hi, t);
  if constexpr (!one_constant) r = core::fma32(n, K::kMinusLn2Lo, r);
  float q = core::fma32(K::kC7, r, K::kC6);
  for (const float c : {K::kC5, K::kC4, K::kC3, K::kC2}) q = core::fma32(q, r, c);
  const float y =
      horner ? core::fma32(core::fma32(q, r, 1.0f), r, 1.0f) : core::fma32(r * r, q, r) + 1.0f;
  return core::bit_cast<float>(core::bit_cast<uint32_t>(y) +
                               (core::bit_cast<uint32_t>(s) << K::kShift));
}

// e^t in float64 from Taylor's series, about 2e-16; written here so that the sweep vectorises.
inline double true_exp(double t) {
  const double s = t * 0x1.71547652b82fep0 + 0x1.8p52, n = s - 0x1.8p52;
  const double r = (t - n * 0x1.62e42fefa3p-1) - n * 0x1.3de6af278ece6p-42;
  double q = 1.0 / 479001600;
  for (int k = 11; k >= 0; --k) {
    constexpr std::array<double, 12> kInverse = {
        1.0,       1.0,        1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,
        1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800};
    q = q * r + kInverse[static_cast<size_t>(k)];
  }
  return core::bit_cast<double>(core::bit_cast<int64_t>(q) + (core::bit_cast<int64_t>(s) << 52));
}

struct Sweep {
  int64_t inversions = 0, worst = 0;  // worst: bits of a float64, which order like the numbers
  uint64_t checksum = 0;
};

constexpr uint32_t kFirst = 0x80000000u, kLast = 0xC2700000u;  // -0 and -60

template <class F>
Sweep sweep_part(F f, uint64_t begin, uint64_t end, uint32_t stride, bool errors) {
  constexpr int kBlock = 2048;
  static thread_local float value[kBlock + 1];
  Sweep out;
  const auto at = [&](uint64_t i) { return kFirst + static_cast<uint32_t>(i) * stride; };
  value[0] = f(core::bit_cast<float>(at(begin == 0 ? 0 : begin - 1)));
  for (uint64_t first = begin; first < end; first += kBlock) {
    const int count = static_cast<int>(std::min<uint64_t>(kBlock, end - first));
    const uint32_t base = at(first);
    for (int i = 0; i < count; ++i)
      value[i + 1] = f(core::bit_cast<float>(base + static_cast<uint32_t>(i) * stride));
    int inversions = 0;
    uint64_t checksum = 0;
    for (int i = 0; i < count; ++i) {
      inversions += value[i + 1] > value[i];
      const uint32_t u = base + static_cast<uint32_t>(i) * stride;
      checksum += static_cast<uint64_t>(core::bit_cast<uint32_t>(value[i + 1])) * (u | 1u);
    }
    out.inversions += inversions;
    out.checksum += checksum;
    if (errors) {
      int64_t worst = 0;
      for (int i = 0; i < count; ++i) {
        const uint32_t u = base + static_cast<uint32_t>(i) * stride;
        const double want = true_exp(static_cast<double>(core::bit_cast<float>(u)));
        const int64_t e = core::bit_cast<int64_t>(std::fabs((value[i + 1] - want) / want));
        worst = worst > e ? worst : e;
      }
      out.worst = std::max(out.worst, worst);
    }
    value[0] = value[count];
  }
  return out;
}

template <class F>
void sweep(F f, uint32_t stride, bool errors) {
  const uint64_t count = (kLast - kFirst) / stride + 1, half = count / 2;
  Sweep a, b;
  std::thread other([&] { a = sweep_part(f, 0, half, stride, errors); });
  b = sweep_part(f, half, count, stride, errors);
  other.join();
  std::printf(
      "count %llu inversions %lld worst %.4g checksum %016llx zero %a\n",
      static_cast<unsigned long long>(count), static_cast<long long>(a.inversions + b.inversions),
      core::bit_cast<double>(std::max(a.worst, b.worst)),
      static_cast<unsigned long long>(a.checksum + b.checksum), static_cast<double>(f(0.0f)));
}

double ulps(double got, long double want) {
  if (want == 0) return got == 0 && !std::signbit(got) ? 0 : 1e9;
  int exponent = 0;
  std::frexp(want, &exponent);
  exponent = std::max(exponent, -1021);
  return static_cast<double>(std::fabs(got - want) / std::ldexp(1.0L, exponent - 53));
}

// Inputs in turn: any positive float64 with subnormals, near 1, and the same for ln(1 + x).
void logs(uint64_t count, bool check) {
  double worst_log = 0, worst_log1p = 0;
  uint64_t checksum = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const auto [r, r2] = core::token_bits(2026, i, 0, core::Stream::kToken);
    const double u = core::uniform_from_bits(r), v = core::uniform_from_bits(r2);
    const int tail = static_cast<int>(i % 52);
    double x = core::bit_cast<double>(r % 0x7ff0000000000000u);
    if (i % 3 == 1) x = 0.5 + 1.5 * u;
    if (i % 3 == 2) x = 1.0 + (u - 0.5) * std::ldexp(1.0, -tail);
    double y = -core::bit_cast<double>(r2 % 0x3ff0000000000000u);
    if (i % 3 == 1) y = -v;
    if (i % 3 == 2) y = -v * std::ldexp(1.0, -tail);
    const double log_x = core::log_positive(x), log1p_y = core::log1p_negative(y);
    checksum +=
        (core::bit_cast<uint64_t>(log_x) ^ (core::bit_cast<uint64_t>(log1p_y) << 1)) * (2 * i + 1);
    if (!check) continue;
    worst_log = std::max(worst_log, ulps(log_x, std::log(static_cast<long double>(x))));
    worst_log1p = std::max(worst_log1p, ulps(log1p_y, std::log1p(static_cast<long double>(y))));
  }
  std::printf("log %.4f log1p %.4f checksum %016llx digits %d\n", worst_log, worst_log1p,
              static_cast<unsigned long long>(checksum), LDBL_MANT_DIG);
}

template <class In, class Out, class F>
void dump(const char* in, const char* out, F f) {
  std::FILE* source = std::fopen(in, "rb");
  std::FILE* target = std::fopen(out, "wb");
  if (source == nullptr || target == nullptr) std::exit(2);
  for (In x; std::fread(&x, sizeof(In), 1, source) == 1;) {
    const Out y = f(x);
    std::fwrite(&y, sizeof(Out), 1, target);
  }
  std::fclose(source);
  std::fclose(target);
}

struct Scaled {
  double p;
  uint64_t mass;
};

int dump_any(const std::string& what, const char* in, const char* out) {
  using u64 = uint64_t;
  if (what == "exp32") {
    dump<float, float>(in, out, [](float t) { return core::exp32(t); });
  } else if (what == "fma32") {
    dump<std::array<float, 3>, float>(in, out,
                                      [](const auto& x) { return core::fma32(x[0], x[1], x[2]); });
  } else if (what == "log") {
    dump<double, double>(in, out, [](double x) { return core::log_positive(x); });
  } else if (what == "exp64") {
    dump<double, double>(in, out, [](double t) { return core::exp64(t); });
  } else if (what == "log1p") {
    dump<double, double>(in, out, [](double x) { return core::log1p_negative(x); });
  } else if (what == "philox") {
    dump<std::array<u64, 4>, core::RandomBits>(in, out, [](const auto& x) {
      return core::token_bits(x[0], x[1], x[2], static_cast<core::Stream>(x[3]));
    });
  } else if (what == "uniform") {
    dump<u64, double>(in, out, [](u64 r) { return core::uniform_from_bits(r); });
  } else if (what == "bits") {
    dump<double, u64>(in, out, [](double u) { return core::bits_from_uniform(u); });
  } else if (what == "target") {
    dump<std::array<u64, 2>, u64>(in, out,
                                  [](const auto& x) { return core::draw_target(x[0], x[1]); });
  } else if (what == "wide_exp") {
    dump<core::DoubleDouble, core::DoubleDouble>(in, out, core::wide_exp);
  } else if (what == "wide_log1p") {
    dump<core::DoubleDouble, core::DoubleDouble>(in, out, core::wide_log1p);
  } else if (what == "ceil") {
    dump<Scaled, u64>(in, out, [](const Scaled& x) { return core::ceil_scaled(x.p, x.mass); });
  } else {
    return 2;
  }
  return 0;
}

void known_answers() {
  constexpr uint32_t kPi[6] = {0x243f6a88, 0x85a308d3, 0x13198a2e,
                               0x03707344, 0xa4093822, 0x299f31d0};
  const core::Words4 counters[3] = {
      {{0, 0, 0, 0}}, {{~0u, ~0u, ~0u, ~0u}}, {{kPi[0], kPi[1], kPi[2], kPi[3]}}};
  const uint32_t keys[3][2] = {{0, 0}, {~0u, ~0u}, {kPi[4], kPi[5]}};
  for (int i = 0; i < 3; ++i) {
    const core::Words4 o = core::philox4x32_10(counters[i], keys[i][0], keys[i][1]);
    std::printf("%08x %08x %08x %08x\n", o.w[0], o.w[1], o.w[2], o.w[3]);
  }
}

void instruction_sets() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) std::printf("avx512f ");
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) std::printf("avx2 ");
#endif
  std::printf("baseline\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> a(argv, argv + argc);
  if (argc == 2 && a[1] == "cpu") return instruction_sets(), 0;
  if (argc == 2 && a[1] == "kat") return known_answers(), 0;
  if (argc == 4 && a[1] == "log") return logs(std::stoull(a[2]), a[3] == "1"), 0;
  if (argc == 5 && a[1] == "dump") return dump_any(a[2], argv[3], argv[4]);
  if (argc != 5 || a[1] != "exp") return 2;
  const uint32_t stride = static_cast<uint32_t>(std::stoul(a[3]));
  const bool errors = a[4] == "1";
  if (a[2] == "exp32") {
    sweep([](float t) { return core::exp32(t); }, stride, errors);
  } else if (a[2] == "one_constant") {
    sweep([](float t) { return rejected_exp32<true, false>(t); }, stride, errors);
  } else if (a[2] == "horner") {
    sweep([](float t) { return rejected_exp32<false, true>(t); }, stride, errors);
  } else {
    return 2;
  }
  return 0;
}
