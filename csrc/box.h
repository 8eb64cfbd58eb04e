// Kernels as torch calls them through its stable ABI: arguments and results on a stack of words.
#pragma once

#include <torch/csrc/stable/library.h>

#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor.h"

namespace aligndec {

// Takes an argument from its word, which owned it.
template <class T>
struct Take {
  static T from(StableIValue word) { return torch::stable::detail::to<T>(word); }
};
template <>
struct Take<Tensor> {
  static Tensor from(StableIValue word) {
    return Tensor(torch::stable::detail::to<AtenTensorHandle>(word));
  }
};
template <>
struct Take<OptionalTensor> {
  static OptionalTensor from(StableIValue word) {
    const auto handle = torch::stable::detail::to<std::optional<AtenTensorHandle>>(word);
    return handle ? OptionalTensor(Tensor(*handle)) : std::nullopt;
  }
};
template <>
struct Take<std::vector<Tensor>> {
  static std::vector<Tensor> from(StableIValue word) {
    std::vector<Tensor> list;
    for (AtenTensorHandle handle : torch::stable::detail::to<std::vector<AtenTensorHandle>>(word))
      list.emplace_back(handle);
    return list;
  }
};

inline StableIValue give(Tensor&& result) { return torch::stable::detail::from(result.release()); }

template <auto kernel>
struct Box;

// The function that a library registers for a kernel: Box<&kernel>::call.
template <class Result, class... Arguments, Result (*kernel)(Arguments...)>
struct Box<kernel> {
  static void call(StableIValue* stack, uint64_t n_arguments, uint64_t n_results) {
    STD_TORCH_CHECK(n_arguments == sizeof...(Arguments),
                    "aligndec: schema and kernel must have the same arguments");
    call(stack, n_results, std::index_sequence_for<Arguments...>{});
  }

 private:
  template <size_t... i>
  static void call(StableIValue* stack, uint64_t n_results, std::index_sequence<i...>) {
    const std::tuple<std::decay_t<Arguments>...> arguments{
        Take<std::decay_t<Arguments>>::from(stack[i])...};
    give_all(stack, n_results, std::apply(kernel, arguments));
  }
  static void give_all(StableIValue* stack, uint64_t n_results, Tensor&& result) {
    STD_TORCH_CHECK(n_results == 1, "aligndec: schema and kernel must have the same results");
    stack[0] = give(std::move(result));
  }
  template <class... Results>
  static void give_all(StableIValue* stack, uint64_t n_results, std::tuple<Results...>&& results) {
    STD_TORCH_CHECK(n_results == sizeof...(Results),
                    "aligndec: schema and kernel must have the same results");
    std::apply([&](Results&... result) { ((*stack++ = give(std::move(result))), ...); }, results);
  }
};

}  // namespace aligndec
