// Vectors of float64 for the tilting kernel: loads, choices, e^x in parts. Included once per
// instruction set, after lanes.h.

typedef float HalfReal __attribute__((vector_size(sizeof(Word) / 2)));

static inline Real every(double v) { return Real{} + v; }
static inline Real load_values(const double* p) { return load<Real>(p); }
static inline Real load_values(const float* p) {
  return __builtin_convertvector(load<HalfReal>(p), Real);
}
// The values from p on, `fill` beyond the end.
template <class T>
[[gnu::always_inline]] static inline Real load_some(const T* p, int64_t left, double fill) {
  if (left >= kWidth) return load_values(p);
  Real v = every(fill);
  for (int64_t i = 0; i < left; ++i) v[i] = p[i];
  return v;
}
static inline double total(Real v) {
  double sum = 0.0;
  for (int i = 0; i < kWidth; ++i) sum += v[i];
  return sum;
}
template <class M>
static inline Real pick(M mask, Real yes, Real no) {
  return choose(reinterpret_cast<Word>(mask), yes, no);
}
static inline Real larger(Real a, Real b) { return pick(a > b, a, b); }
static inline Real smaller(Real a, Real b) { return pick(a < b, a, b); }

// e^x = e, and where |x| <= ln 2 / 2 (`small`) also e^x - 1 = em and e^x - 1 - x = curve, to
// relative precision.
struct ExpParts {
  Real e, em, curve;
  Word small;
};
[[gnu::always_inline]] static inline ExpParts exp_parts(Real x) {
  using K = core::TiltExp;
  const Real s = Simd::madd(x, every(K::kLog2E), every(K::kMagic));
  const Real n = s - K::kMagic;
  Real r = Simd::madd(n, every(-K::kLn2Hi), x);
  r = Simd::madd(n, every(-K::kLn2Lo), r);
  Real q = every(K::kQ[0]);
  for (int i = 1; i < K::kTerms; ++i) q = Simd::madd(q, r, every(K::kQ[i]));
  ExpParts out;
  out.curve = r * r * q;
  out.em = r + out.curve;
  out.e = reinterpret_cast<Real>(reinterpret_cast<Word>(1.0 + out.em) +
                                 (reinterpret_cast<Word>(s) << 52));
  out.small = reinterpret_cast<Word>(n == 0.0);
  return out;
}
static inline Real clamped(Real x) {
  using K = core::TiltExp;
  return smaller(larger(x, every(K::kMin)), every(K::kMax));
}
