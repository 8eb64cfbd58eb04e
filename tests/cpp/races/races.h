// Every op of one csrc/cuda/<stem>.cu on inputs that reach all of its barriers, on every kind of
// machine: <stem>.cpp includes the kernels, says what the cases are and, with main below, is a
// program for ThreadSanitizer. It prints a line for each case with a hash of its outputs; runs that
// differ in the order of threads alone print the same hashes.
//
//     <stem> [quick]        fewer machines, sizes and orders
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "launch/adaptor_step.h"

namespace races {

struct Named {
  const char* name;
  aligndec::cuda::block::Machine machine;
};
// Where rows are shared by blocks and where they are not; on the chip and not. Few multiprocessors
// make few groups of a grid, many of them many blocks of a row.
inline const std::vector<Named> kMachines = {
    {"clusters", {{64, 1 << 20, true}, 8}},
    {"one block", {{4, 1 << 20, false}, 8}},
    {"clusters, off chip", {{64, 0, true}, 8}},
    {"one block, off chip", {{4, 0, false}, 8}},
};
constexpr size_t kQuick = 2;

// One run of the cases: makes inputs, keeps outputs and names what it called.
class Run {
 public:
  Run(std::string name, const std::string& given)
      : word(given), quick(given == "quick"), name_(std::move(name)) {}

  const std::string word;
  const bool quick;  // fewer sizes

  double uniform() { return std::uniform_real_distribution<double>()(rng_); }
  double normal() { return std::normal_distribution<double>()(rng_); }
  template <class T = double>
  T* normals(int64_t n, double scale = 1.0) {
    return input<T>(n, [&](int64_t) { return static_cast<T>(scale * normal()); });
  }
  // n values of f(i).
  template <class T, class F>
  T* input(int64_t n, F f) {
    T* const p = memory<T>(n);
    for (int64_t i = 0; i < n; ++i) p[i] = f(i);
    return p;
  }
  // n values that belong to the hash of the next call.
  template <class T>
  T* output(int64_t n) {
    T* const p = memory<T>(n);
    outputs_.emplace_back(reinterpret_cast<unsigned char*>(p), static_cast<size_t>(n) * sizeof(T));
    return p;
  }
  // Calls one launcher on the outputs since the last call.
  template <class Args>
  void call(const std::string& what, int (*launch)(const Args&, CUstream_st*), const Args& args) {
    if (const int error = launch(args, nullptr))
      throw std::runtime_error(what + " returned " + std::to_string(error));
    uint64_t hash = 14695981039346656037u;  // FNV-1a
    for (const auto& [bytes, size] : outputs_)
      for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
    outputs_.clear();
    std::printf("%s | %s | %016llx\n", name_.c_str(), what.c_str(),
                static_cast<unsigned long long>(hash));
  }

 private:
  // An allocation of its own, so that the sanitizer knows its end; aligned for any type.
  template <class T>
  T* memory(int64_t n) {
    kept_.emplace_back(static_cast<size_t>(n) * sizeof(T) + 1);
    return reinterpret_cast<T*>(kept_.back().data());
  }

  std::string name_;
  std::mt19937_64 rng_{1};
  std::deque<std::vector<unsigned char>> kept_;
  std::vector<std::pair<const unsigned char*, size_t>> outputs_;
};

// Gaussian rows, every fourth one full of ties; the last one is bad.
inline aligndec::RowBatch rows(Run& run, int64_t count, int64_t n) {
  aligndec::RowBatch batch{};
  batch.logits = run.input<float>(count * n, [&](int64_t i) {
    if (i == count * n - 1) return static_cast<float>(NAN);
    return static_cast<float>(i / n % 4 == 3 ? std::round(2 * run.normal()) : 3 * run.normal());
  });
  batch.type = aligndec::LogitType::kFloat;
  batch.rows = count;
  batch.n = batch.stride = n;
  return batch;
}

}  // namespace races

// What the program does on one machine; defined by <stem>.cpp.
void cases(races::Run& run);

int main(int count, char** words) {
  const std::string word = count > 1 ? words[1] : "";
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is stopped keeps its lines
  try {
    for (size_t m = 0; m < (word.empty() ? races::kMachines.size() : races::kQuick); ++m)
      for (const uint64_t order : {uint64_t{7}, uint64_t{0}}) {
        if (!word.empty() && order == 0) continue;
        aligndec::cuda::block::machine = races::kMachines[m].machine;
        aligndec::cuda::block::machine.order = order;
        races::Run run(races::kMachines[m].name, word);
        cases(run);
      }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "failed: %s\n", error.what());
    return 1;
  }
  return 0;
}
