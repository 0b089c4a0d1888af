// Attention of lists that lie one after the other, without their padding: causal, head by head,
// scores in the cache. Forward keeps each row's largest score and the softmax's denominator, from
// which backward makes the pattern again (Dao et al. 2022), and its dropout from the same seed.

#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "numbers.h"

namespace sortscope {
namespace {

// -- vectors ----------------------------------------------------------------------------------

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * kWidth)));
typedef int32_t IntVector __attribute__((vector_size(4 * kWidth)));

inline Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void store(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

// Loaded once for all its uses: a compiler may otherwise read it from memory again for each.
inline void in_register(Vector& v) {
#if defined(__x86_64__)
  __asm__("" : "+v"(v));
#endif
}

// All lanes combined, by halves.
template <typename Combine>
inline float across(Vector v, Combine combine) {
#if defined(__AVX512F__)
  const auto eight = combine(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                             __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
#else
  const auto eight = v;
#endif
#if defined(__AVX__)
  const auto four = combine(__builtin_shufflevector(eight, eight, 0, 1, 2, 3),
                            __builtin_shufflevector(eight, eight, 4, 5, 6, 7));
#else
  const auto four = eight;
#endif
  const auto two = combine(four, __builtin_shufflevector(four, four, 2, 3, 0, 1));
  return combine(two[0], two[1]);
}

inline float total(Vector v) {
  return across(v, [](auto a, auto b) { return a + b; });
}

inline int64_t up(int64_t count, int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// e^x for x up to 0, to 2e-7 of itself; 0 below -87. NaN stays NaN.
inline Vector exponential(Vector x) {
  const Vector zero = {};
  const Vector raised = x < -87.0f ? zero - 87.0f : x;
  const Vector scaled = raised * 1.44269504f - 0.5f;
  const IntVector power = __builtin_convertvector(scaled, IntVector);  // towards 0: to the nearest
  const Vector whole = __builtin_convertvector(power, Vector);
  const Vector rest = (raised - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Vector sum = zero + 1.0f / 5040;
  for (const float next : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    sum = sum * rest + next;
  const IntVector bits = (power + 127) << 23;
  Vector two;
  std::memcpy(&two, &bits, sizeof two);
  return x < -87.0f ? zero : sum * two;
}

constexpr int kRows = 4;  // rows of a product at a time: their sums stay in registers

// out[r][j] = sum over d of a[r][d] columns[d][j], for kRows rows and kVectors vectors of j.
template <int kVectors>
inline void products(const float* a, int64_t a_step, const float* columns, int64_t columns_step,
                     int64_t depth, float* out, int64_t out_step) {
  Vector sum[kRows][kVectors] = {};
  for (int64_t d = 0; d < depth; ++d) {
    Vector column[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      column[v] = load(columns + d * columns_step + v * kWidth);
      in_register(column[v]);
    }
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v) sum[r][v] += a[r * a_step + d] * column[v];
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(out + r * out_step + v * kWidth, sum[r][v]);
}

// The same for j up to n, a multiple of kWidth.
inline void products(const float* a, int64_t a_step, const float* columns, int64_t columns_step,
                     int64_t depth, int64_t n, float* out, int64_t out_step) {
  int64_t j = 0;
  for (; j + 2 * kWidth <= n; j += 2 * kWidth)
    products<2>(a, a_step, columns + j, columns_step, depth, out + j, out_step);
  if (j < n) products<1>(a, a_step, columns + j, columns_step, depth, out + j, out_step);
}

// out[r] = sum over k of a[r * row_step + k * sum_step] values[k], for kRows rows, kVectors wide.
template <int kVectors>
inline void mix(const float* a, int64_t row_step, int64_t sum_step, int64_t count,
                const float* values, int64_t values_step, float* out, int64_t out_step) {
  Vector sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < count; ++k) {
    Vector value[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      value[v] = load(values + k * values_step + v * kWidth);
      in_register(value[v]);
    }
    for (int r = 0; r < kRows; ++r) {
      const float weight = a[r * row_step + k * sum_step];
      for (int v = 0; v < kVectors; ++v) sum[r][v] += weight * value[v];
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(out + r * out_step + v * kWidth, sum[r][v]);
}

// The same for any width, a multiple of kWidth.
inline void mix(const float* a, int64_t row_step, int64_t sum_step, int64_t count,
                const float* values, int64_t values_step, int64_t width, float* out,
                int64_t out_step) {
  int64_t at = 0;
  for (; at + 3 * kWidth <= width; at += 3 * kWidth)
    mix<3>(a, row_step, sum_step, count, values + at, values_step, out + at, out_step);
  for (; at + 2 * kWidth <= width; at += 2 * kWidth)
    mix<2>(a, row_step, sum_step, count, values + at, values_step, out + at, out_step);
  for (; at < width; at += kWidth)
    mix<1>(a, row_step, sum_step, count, values + at, values_step, out + at, out_step);
}

// -- one list ---------------------------------------------------------------------------------

// Where a list lies: its first row among keys and values, how many it has, how many of them are no
// queries, its first row among queries, and the position of its first row.
struct Span {
  int64_t first, count, skipped, first_query, position;

  int64_t queries() const { return count - skipped; }
};

Span span_of(const Tensor& spans, int64_t list) {
  const int64_t* s = data<int64_t>(spans) + 5 * list;
  return {s[0], s[1], s[2], s[3], s[4]};
}

// A matrix in rows of `step`, with room for a block of rows and a vector past its end: what is read
// there goes into results that nobody reads.
struct Panel {
  std::vector<float> numbers;
  int64_t step = 0;

  void shape(int64_t rows, int64_t row_step) {
    step = row_step;
    const size_t size = up(rows, kRows) * step + kWidth;
    if (numbers.size() < size) numbers.resize(size);
  }

  float* row(int64_t i) { return numbers.data() + i * step; }
};

template <typename T>
void read_rows(Panel& to, const T* from, int64_t from_step, int64_t rows, int64_t width,
               float scale = 1.0f) {
  to.shape(rows, width);
  for (int64_t i = 0; i < rows; ++i) {
    float* row = to.row(i);
    for (int64_t d = 0; d < width; ++d) row[d] = scale * widen(from[i * from_step + d]);
  }
}

template <typename T>
void write_rows(T* to, int64_t to_step, Panel& from, int64_t rows, int64_t width,
                float scale = 1.0f) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t d = 0; d < width; ++d) to[i * to_step + d] = narrow<T>(scale * from.row(i)[d]);
}

typedef float Four __attribute__((vector_size(16)));

// to[d][i] = from[i][d]; from `rows` on up to a whole vector, zeros.
void transpose(Panel& to, Panel& from, int64_t rows) {
  const int64_t width = from.step;
  to.shape(width, up(rows, kWidth));
  for (int64_t i = 0; i < rows; i += 4)
    for (int64_t d = 0; d < width; d += 4) {
      Four a, b, c, e;
      std::memcpy(&a, from.row(i) + d, 16);
      std::memcpy(&b, from.row(i + 1) + d, 16);
      std::memcpy(&c, from.row(i + 2) + d, 16);
      std::memcpy(&e, from.row(i + 3) + d, 16);
      const Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Four ce = __builtin_shufflevector(c, e, 0, 4, 1, 5);
      const Four ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Four ce2 = __builtin_shufflevector(c, e, 2, 6, 3, 7);
      const Four columns[4] = {__builtin_shufflevector(ab, ce, 0, 1, 4, 5),
                               __builtin_shufflevector(ab, ce, 2, 3, 6, 7),
                               __builtin_shufflevector(ab2, ce2, 0, 1, 4, 5),
                               __builtin_shufflevector(ab2, ce2, 2, 3, 6, 7)};
      for (int k = 0; k < 4; ++k) std::memcpy(to.row(d + k) + i, columns + k, 16);
    }
  for (int64_t d = 0; d < width; ++d) std::fill(to.row(d) + rows, to.row(d) + to.step, 0.0f);
}

// Scores of a row: -inf for keys after it and for those it is blocked from.
void hide(float* scores, int64_t row, int64_t n, const bool* blocked) {
  for (int64_t j = row + 1; j < n; ++j) scores[j] = -INFINITY;
  if (blocked)
    for (int64_t j = 0; j <= row; ++j)
      if (blocked[j]) scores[j] = -INFINITY;
}

// What makes a pattern of a row of scores.
struct Softmax {
  float largest, inverse;  // of the sum of e^(score - largest)

  Vector operator()(Vector scores) const { return exponential(scores - largest) * inverse; }
};

// Scores become the pattern.
Softmax softmax(float* scores, int64_t n) {
  Vector most = load(scores);
  for (int64_t j = kWidth; j < n; j += kWidth) {
    const Vector score = load(scores + j);
    most = most > score ? most : score;
  }
  const float largest = across(most, [](auto a, auto b) { return a > b ? a : b; });
  Vector sums = {};
  for (int64_t j = 0; j < n; j += kWidth) {
    const Vector weight = exponential(load(scores + j) - largest);
    store(scores + j, weight);
    sums += weight;
  }
  const Softmax made = {largest, 1.0f / total(sums)};
  for (int64_t j = 0; j < n; j += kWidth) store(scores + j, load(scores + j) * made.inverse);
  return made;
}

struct Workspace {
  Panel query, keys, values, slopes, key_columns, value_columns, pattern, moved, out;
  std::vector<uint16_t> numbers;
};

// What all lists of a call share. Queries [rows, heads * width]; keys, and behind them values,
// [all_rows, 2 * heads * width].
struct Call {
  const Tensor &query, &other, &blocked;
  int64_t heads, threshold, seed;

  int64_t width() const { return query.size(1) / heads; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(width())); }

  const bool* blocked_row(const Span& span, int64_t row) const {
    if (!blocked.numel()) return nullptr;
    return data<bool>(blocked) + (span.position + row) * blocked.size(1) + span.position;
  }
};

// Queries (scaled), keys and values as panels, all heads side by side.
template <typename T>
void read_list(Workspace& work, const Call& call, const Span& span) {
  const int64_t all = call.query.size(1), q_step = call.query.stride(0);
  const int64_t step = call.other.stride(0);
  const T* keys = data<T>(call.other) + span.first * step;
  read_rows(work.query, data<T>(call.query) + span.first_query * q_step, q_step, span.queries(),
            all, call.scale());
  read_rows(work.keys, keys, step, span.count, all);
  read_rows(work.values, keys + all, step, span.count, all);
  transpose(work.key_columns, work.keys, span.count);
  work.numbers.resize(Draws::room(work.key_columns.step));
}

template <typename T>
void attend(Workspace& work, const Call& call, const Span& span, int64_t list, Tensor& z,
            Tensor& kept) {
  const int64_t width = call.width(), all = call.heads * width, rows = span.queries();
  const int64_t wide_head = up(width, kWidth);
  const Dropout dropout(call.threshold);
  read_list<T>(work, call, span);
  work.pattern.shape(kRows, work.key_columns.step);
  work.out.shape(rows, wide_head);
  Softmax* made = data<Softmax>(kept) + span.first_query * call.heads;
  for (int64_t h = 0; h < call.heads; ++h) {
    Draws draws(call.seed, list * call.heads + h);
    for (int64_t start = 0; start < rows; start += kRows) {
      const int64_t n = std::min(span.count, span.skipped + start + kRows), wide = up(n, kWidth);
      products(work.query.row(start) + h * width, all, work.key_columns.row(h * width),
               work.key_columns.step, width, wide, work.pattern.row(0), work.pattern.step);
      for (int64_t i = start; i < std::min(rows, start + kRows); ++i) {
        float* weights = work.pattern.row(i - start);
        hide(weights, span.skipped + i, wide, call.blocked_row(span, span.skipped + i));
        made[i * call.heads + h] = softmax(weights, wide);
        if (!call.threshold) continue;
        draws.fill(work.numbers.data(), wide);
        const uint16_t* number = work.numbers.data();
        for (int64_t j = 0; j < wide; ++j) weights[j] = dropout(number[j], weights[j]);
      }
      mix(work.pattern.row(0), work.pattern.step, 1, n, work.values.row(0) + h * width, all,
          wide_head, work.out.row(start), wide_head);
    }
    write_rows(data<T>(z) + span.first_query * all + h * width, all, work.out, rows, width);
  }
}

// The pattern of one row after dropout, from its scores; and the slopes by the scores, from those by
// the pattern after dropout.
void unattend(float* __restrict__ weights, float* __restrict__ slopes, int64_t wide,
              const Softmax made, const uint16_t* __restrict__ number, const Dropout dropout) {
  if (dropout.threshold)
    for (int64_t j = 0; j < wide; ++j) slopes[j] = dropout(number[j], slopes[j]);
  Vector sums = {};
  for (int64_t j = 0; j < wide; j += kWidth) {
    const Vector weight = made(load(weights + j));
    store(weights + j, weight);
    sums += weight * load(slopes + j);
  }
  const float mean = total(sums);
  for (int64_t j = 0; j < wide; ++j) slopes[j] = weights[j] * (slopes[j] - mean);
  if (dropout.threshold)
    for (int64_t j = 0; j < wide; ++j) weights[j] = dropout(number[j], weights[j]);
}

// The gradients by queries, keys and values of what `attend` made, from the gradient by z.
template <typename T>
void attend_back(Workspace& work, const Call& call, const Span& span, int64_t list,
                 const Tensor& grad, const Tensor& kept, Tensor& by_query, Tensor& by_other) {
  const int64_t width = call.width(), all = call.heads * width, rows = span.queries();
  const int64_t wide_head = up(width, kWidth);
  const Dropout dropout(call.threshold);
  const Softmax* made = data<Softmax>(kept) + span.first_query * call.heads;
  read_list<T>(work, call, span);
  read_rows(work.slopes, data<T>(grad) + span.first_query * all, all, rows, all);
  transpose(work.value_columns, work.values, span.count);
  const int64_t step = work.key_columns.step;
  work.pattern.shape(rows, step);
  work.moved.shape(rows, step);
  work.out.shape(span.count, wide_head);
  for (int64_t h = 0; h < call.heads; ++h) {
    const int64_t at = h * width;
    Draws draws(call.seed, list * call.heads + h);
    for (int64_t start = 0; start < rows; start += kRows) {
      const int64_t n = std::min(span.count, span.skipped + start + kRows), wide = up(n, kWidth);
      products(work.query.row(start) + at, all, work.key_columns.row(at), step, width, wide,
               work.pattern.row(start), step);
      products(work.slopes.row(start) + at, all, work.value_columns.row(at), step, width, wide,
               work.moved.row(start), step);
      for (int64_t i = start; i < std::min(rows, start + kRows); ++i) {
        const int64_t row = span.skipped + i;
        hide(work.pattern.row(i), row, wide, call.blocked_row(span, row));
        if (call.threshold) draws.fill(work.numbers.data(), wide);
        unattend(work.pattern.row(i), work.moved.row(i), wide, made[i * call.heads + h],
                 work.numbers.data(), dropout);
      }
      mix(work.moved.row(start), step, 1, n, work.keys.row(0) + at, all, wide_head,
          work.out.row(start), wide_head);
    }
    write_rows(data<T>(by_query) + span.first_query * by_query.stride(0) + at, by_query.stride(0),
               work.out, rows, width, call.scale());
    T* to = data<T>(by_other) + span.first * by_other.stride(0) + at;
    for (Panel* weights : {&work.moved, &work.pattern}) {  // by keys, then by values
      Panel& values = weights == &work.moved ? work.query : work.slopes;
      for (int64_t j = 0; j < span.count; j += kRows) {
        const int64_t from = std::max<int64_t>(0, j - span.skipped);  // the first that sees key j
        mix(weights->row(from) + j, 1, step, rows - from, values.row(from) + at, all, wide_head,
            work.out.row(j), wide_head);
      }
      write_rows(to, by_other.stride(0), work.out, span.count, width);
      to += all;
    }
  }
}

// -- all of them ------------------------------------------------------------------------------

// query [rows, heads * width], other [all_rows, 2 * heads * width] keys and values, both float32 or
// both bfloat16; spans [lists, 5]; blocked [n_ctx, n_ctx] or empty. Returns z, like query, zero in
// rows of no list, and of each row's softmax what backward needs [rows, heads, 2].
std::tuple<Tensor, Tensor> attend_forward(const Tensor& query, const Tensor& other,
                                          const Tensor& spans, const Tensor& blocked,
                                          int64_t heads, int64_t threshold, int64_t seed) {
  const Call call{query, other, blocked, heads, threshold, seed};
  Tensor z = at::zeros(query.sizes(), query.options());
  Tensor kept = at::empty({query.size(0), heads, 2}, query.options().dtype(at::kFloat));
  Workspace work;
  const auto run = is_half(query) ? attend<uint16_t> : attend<float>;
  for (int64_t list = 0; list < spans.size(0); ++list)
    run(work, call, span_of(spans, list), list, z, kept);
  return {z, kept};
}

// Writes the gradients into by_query and by_other, which are laid out like query and other.
void attend_backward(const Tensor& grad, const Tensor& kept, const Tensor& query,
                     const Tensor& other, const Tensor& spans, const Tensor& blocked, int64_t heads,
                     int64_t threshold, int64_t seed, Tensor by_query, Tensor by_other) {
  const Call call{query, other, blocked, heads, threshold, seed};
  Workspace work;
  const auto run = is_half(query) ? attend_back<uint16_t> : attend_back<float>;
  for (int64_t list = 0; list < spans.size(0); ++list)
    run(work, call, span_of(spans, list), list, grad, kept, by_query, by_other);
}

}  // namespace

}  // namespace sortscope
