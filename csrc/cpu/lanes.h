// Vectors of 64-bit lanes: included once per instruction set, inside its namespace and under its
// target pragma, after a Simd was defined.

using Word = Simd::Word;
constexpr int kWidth = sizeof(Word) / sizeof(uint64_t);
typedef double Real __attribute__((vector_size(sizeof(Word))));

template <class V, class T>
static inline V load(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T>
static inline void store(T* p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// 0, 1, 2, … along the lanes.
static inline Word lane_numbers() {
  Word lanes;
  for (int i = 0; i < kWidth; ++i) lanes[i] = static_cast<uint64_t>(i);
  return lanes;
}

template <class V>
static inline V choose(Word mask, V yes, V no) {
  return reinterpret_cast<V>((reinterpret_cast<Word>(yes) & mask) |
                             (reinterpret_cast<Word>(no) & ~mask));
}
