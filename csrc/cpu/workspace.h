// Scratch of the row kernel: what one thread keeps of its current row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#include "core/adaptor_rules.h"
#include "core/books.h"

namespace aligndec::cpu {

constexpr int64_t kBlock = 64;          // logits that share a maximum
constexpr int64_t kChunk = 8 * kBlock;  // logits that share a mass
constexpr int kMaxParts = 64;           // threads that share a row
constexpr int64_t kSlack = 16;          // entries that a vector store may write past the end

// Runs body(context, part) for parts [0, parts) at the same time.
struct Team {
  int parts = 1;
  void (*run)(int parts, void* context, void (*body)(void* context, int part)) = nullptr;
};

struct Sums {
  uint64_t mass = 0, entropy = 0;
};

// Memory of one thread that grows and keeps nothing across growth; pages never touched cost
// nothing.
class Arena {
 public:
  unsigned char* get(size_t bytes) {
    if (bytes > size_) {
      data_.reset(static_cast<unsigned char*>(std::aligned_alloc(64, bytes)));
      if (!data_) throw std::bad_alloc();
      size_ = bytes;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(unsigned char* p) const { std::free(p); }
  };
  std::unique_ptr<unsigned char[], Free> data_;
  size_t size_ = 0;
};

// Scratch of one thread, and what is known of its current row. One row at a time; nothing of size
// [B, V].
struct Workspace {
  alignas(64) unsigned char tail[kBlock * sizeof(float)];
  Team team;
  bool all_entropies =
      false;  // several rules are to come: weigh the scaled laws with their entropy at once

  // Makes room for rows of n logits.
  void reserve(int64_t n);

  // The row: filled by scan_row.
  float* block_max;
  float top;
  int64_t count;  // existing tokens
  int64_t status;

  // Masses of all existing tokens, and of each chunk: filled by weigh_row.
  int64_t chunks;
  uint64_t *base_chunks, *scaled_chunks;
  bool base_known, scaled_known, scaled_entropy_known, sigma_known;
  core::Scale scaled_at;
  Sums base, scaled;
  core::GapMoments gaps;

  // Sum of the squared weights of all tokens under the law that decides, good to kSquareError;
  // known where the weighing pass of this cut was asked for it.
  double squares;
  bool squares_known;

  // Wide kept sets: what is certainly kept, by chunk, and the undecided tokens in id order
  // (row_watch.h).
  Sums inside;
  int64_t inside_count;
  uint64_t* inside_chunks;
  float* band_x;
  int64_t* band_end;  // of each chunk

  // Logits from here on are collected in the list while the row is weighed; FLT_MAX: none.
  float collect_from;

  // The survivors as a list in id order, once a stage has cut.
  float* list_x;
  uint64_t* list_weight;
  int64_t list_size;
  uint64_t list_mass;  // of all weights

  // Scratch of find_prefix.
  uint64_t *key, *key_weight;

  // A bias on the row (row_edit.h): the blocks that it edits, written out, and what its tokens were
  // and became.
  const float** edited;  // [blocks], null but for the edited ones
  float* edited_x;       // kBlock for each edited block
  int64_t* edited_block;
  int64_t edited_blocks = 0;
  float *edit_from, *edit_to;
  int64_t edits;
  float base_top;  // the maximum before
  bool base_sums_known;
  Sums base_sums;  // the base law before

 private:
  Arena arena_;
  int64_t capacity_ = -1;
};

inline void Workspace::reserve(int64_t n) {
  if (n <= capacity_) return;
  const int64_t entries = (n + kBlock - 1) / kBlock * kBlock + kBlock;
  const int64_t most_chunks = entries / kChunk + 2, blocks = entries / kBlock + kSlack;
  unsigned char* p = arena_.get(
      static_cast<size_t>(entries * (3 * 8 + 5 * 4) + 4 * most_chunks * 8 + blocks * 28 + 2048) /
      64 * 64);
  const auto take = [&p](auto*& array, int64_t length) {
    array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(p);
    p += (static_cast<size_t>(length) * sizeof(*array) + 63) / 64 * 64;
  };
  take(list_weight, entries);
  take(key, entries);
  take(key_weight, entries);
  take(list_x, entries);
  take(base_chunks, most_chunks);
  take(scaled_chunks, most_chunks);
  take(inside_chunks, most_chunks);
  take(band_end, most_chunks);
  take(band_x, entries);
  take(block_max, blocks);
  take(edited, blocks);
  take(edited_block, blocks);
  take(edited_x, entries);
  take(edit_from, entries);
  take(edit_to, entries);
  std::fill_n(edited, blocks, nullptr);
  edited_blocks = 0;
  capacity_ = n;
}

}  // namespace aligndec::cpu
