// Attention of lists that lie one after the other, without their padding: causal, head by head,
// scores in the cache. Forward keeps each row's logarithm of the softmax's denominator, from which
// backward makes the pattern again (Dao et al. 2022), and its dropout from the same seed.

#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

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

// out[r][j] = sum over d of a[r][d] columns[d][j], for kRows rows and j up to n (rounded up).
inline void products(const float* a, int64_t a_step, const float* columns, int64_t columns_step,
                     int64_t depth, int64_t n, float* out, int64_t out_step) {
  for (int64_t j = 0; j < n; j += 2 * kWidth) {
    Vector sum[kRows][2] = {};
    for (int64_t d = 0; d < depth; ++d) {
      const Vector first = load(columns + d * columns_step + j);
      const Vector second = load(columns + d * columns_step + j + kWidth);
      for (int r = 0; r < kRows; ++r) {
        sum[r][0] += a[r * a_step + d] * first;
        sum[r][1] += a[r * a_step + d] * second;
      }
    }
    for (int r = 0; r < kRows; ++r) {
      store(out + r * out_step + j, sum[r][0]);
      store(out + r * out_step + j + kWidth, sum[r][1]);
    }
  }
}

// out[r] = sum over k of a[r * row_step + k * sum_step] values[k], for kRows rows, kVectors wide.
template <int kVectors>
inline void mix(const float* a, int64_t row_step, int64_t sum_step, int64_t count,
                const float* values, int64_t values_step, float* out, int64_t out_step) {
  Vector sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < count; ++k) {
    Vector value[kVectors];
    for (int v = 0; v < kVectors; ++v) value[v] = load(values + k * values_step + v * kWidth);
    for (int r = 0; r < kRows; ++r) {
      const float weight = a[r * row_step + k * sum_step];
      for (int v = 0; v < kVectors; ++v) sum[r][v] += weight * value[v];
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(out + r * out_step + v * kWidth, sum[r][v]);
}

inline void mix(const float* a, int64_t row_step, int64_t sum_step, int64_t count,
                const float* values, int64_t step, float* out) {
  int64_t at = 0;
  for (; at + 3 * kWidth <= step; at += 3 * kWidth)
    mix<3>(a, row_step, sum_step, count, values + at, step, out + at, step);
  for (; at < step; at += kWidth)
    mix<1>(a, row_step, sum_step, count, values + at, step, out + at, step);
}

// -- one head of one list ---------------------------------------------------------------------

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

// `rows` x `width` numbers, in rows of `step`; what is past `width`, and rows past the last, zeros.
struct Panel {
  std::vector<float> numbers;
  int64_t step = 0;

  void clear(int64_t rows, int64_t row_step) {
    step = row_step;
    numbers.assign(static_cast<size_t>(up(rows, kRows) * step), 0.0f);
  }

  float* row(int64_t i) { return numbers.data() + i * step; }
};

template <typename T>
void copy_rows(Panel& to, const T* from, int64_t from_step, int64_t rows, int64_t width,
               float scale = 1.0f) {
  to.clear(rows, up(width, kWidth));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t d = 0; d < width; ++d) to.row(i)[d] = scale * widen(from[i * from_step + d]);
}

template <typename T>
void copy_columns(Panel& to, const T* from, int64_t from_step, int64_t rows, int64_t width) {
  to.clear(width, up(rows, 2 * kWidth));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t d = 0; d < width; ++d) to.row(d)[i] = widen(from[i * from_step + d]);
}

template <typename T>
void write_rows(T* to, int64_t to_step, Panel& from, int64_t rows, int64_t width,
                float scale = 1.0f) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t d = 0; d < width; ++d) to[i * to_step + d] = narrow<T>(scale * from.row(i)[d]);
}

// Scores of a row: -inf for keys after it and for those it is blocked from.
void hide(float* scores, int64_t row, int64_t n, const bool* blocked) {
  for (int64_t j = row + 1; j < n; ++j) scores[j] = -INFINITY;
  if (blocked)
    for (int64_t j = 0; j <= row; ++j)
      if (blocked[j]) scores[j] = -INFINITY;
}

// Scores become the pattern; returns the logarithm of the denominator.
float softmax(float* scores, int64_t n) {
  Vector most = load(scores);
  for (int64_t j = kWidth; j < n; j += kWidth) {
    const Vector score = load(scores + j);
    most = most > score ? most : score;
  }
  float largest = most[0];
  for (int lane = 1; lane < kWidth; ++lane) largest = std::max(largest, most[lane]);
  Vector sums = {};
  for (int64_t j = 0; j < n; j += kWidth) {
    const Vector weight = exponential(load(scores + j) - largest);
    store(scores + j, weight);
    sums += weight;
  }
  float sum = 0.0f;
  for (int lane = 0; lane < kWidth; ++lane) sum += sums[lane];
  for (int64_t j = 0; j < n; j += kWidth) store(scores + j, load(scores + j) * (1.0f / sum));
  return largest + std::log(sum);
}

struct Head {
  Panel query, keys, values, columns, value_columns, slopes, pattern, moved, out;
  std::vector<uint16_t> numbers;
};

struct Shape {
  int64_t heads, width;
  float scale;  // of the scores

  Shape(const Tensor& query, int64_t n_heads)
      : heads(n_heads), width(query.size(1) / n_heads), scale(1.0f / std::sqrt(float(width))) {}
};

const bool* blocked_row(const Tensor& blocked, const Span& span, int64_t row) {
  const int64_t at = span.position + row;
  return blocked.numel() ? data<bool>(blocked) + at * blocked.size(1) + span.position : nullptr;
}

// Queries [rows, heads * width], keys and values [all_rows, 2 * heads * width].
template <typename T>
void forward(Head& head, const Tensor& query, const Tensor& other, const Span& span, int64_t h,
             const Shape& shape, const Tensor& blocked, int64_t threshold, Draws draws, Tensor& z,
             Tensor& denominators) {
  const int64_t width = shape.width, all = shape.heads * width, rows = span.queries();
  const int64_t q_step = query.stride(0), kv_step = other.stride(0);
  const T* q = data<T>(query) + span.first_query * q_step + h * width;
  const T* k = data<T>(other) + span.first * kv_step + h * width;
  copy_rows(head.query, q, q_step, rows, width, shape.scale);
  copy_columns(head.columns, k, kv_step, span.count, width);
  copy_rows(head.values, k + all, kv_step, span.count, width);
  head.pattern.clear(kRows, head.columns.step);
  head.out.clear(rows, head.values.step);
  head.numbers.resize(Draws::room(head.columns.step));
  const Dropout dropout(threshold);
  for (int64_t start = 0; start < rows; start += kRows) {
    const int64_t n = std::min(span.count, span.skipped + start + kRows);
    const int64_t wide = up(n, 2 * kWidth);
    products(head.query.row(start), head.query.step, head.columns.row(0), head.columns.step, width,
             n, head.pattern.row(0), head.pattern.step);
    for (int64_t r = 0; r < std::min<int64_t>(kRows, rows - start); ++r) {
      const int64_t row = span.skipped + start + r;
      float* weights = head.pattern.row(r);
      hide(weights, row, wide, blocked_row(blocked, span, row));
      data<float>(denominators)[(span.first_query + start + r) * shape.heads + h] =
          softmax(weights, wide);
      if (threshold) {
        draws.fill(head.numbers.data(), wide);
        for (int64_t j = 0; j < wide; ++j) weights[j] = dropout(head.numbers[j], weights[j]);
      }
    }
    mix(head.pattern.row(0), head.pattern.step, 1, n, head.values.row(0), head.values.step,
        head.out.row(start));
  }
  write_rows(data<T>(z) + span.first_query * all + h * width, all, head.out, rows, width);
}

// The gradients by queries, keys and values of what `forward` made, from the gradient by z.
template <typename T>
void backward(Head& head, const Tensor& grad, const Tensor& z, const Tensor& denominators,
              const Tensor& query, const Tensor& other, const Span& span, int64_t h,
              const Shape& shape, const Tensor& blocked, int64_t threshold, Draws draws,
              Tensor& by_query, Tensor& by_other) {
  const int64_t width = shape.width, all = shape.heads * width, rows = span.queries();
  const int64_t q_step = query.stride(0), kv_step = other.stride(0);
  const T* q = data<T>(query) + span.first_query * q_step + h * width;
  const T* k = data<T>(other) + span.first * kv_step + h * width;
  const T* up_stream = data<T>(grad) + span.first_query * all + h * width;
  const T* mixed = data<T>(z) + span.first_query * all + h * width;
  copy_rows(head.query, q, q_step, rows, width, shape.scale);
  copy_rows(head.slopes, up_stream, all, rows, width);
  copy_rows(head.keys, k, kv_step, span.count, width);
  copy_columns(head.columns, k, kv_step, span.count, width);
  copy_columns(head.value_columns, k + all, kv_step, span.count, width);
  head.pattern.clear(rows, head.columns.step);
  head.moved.clear(rows, head.columns.step);
  head.out.clear(std::max(rows, span.count), head.keys.step);
  head.numbers.resize(Draws::room(head.columns.step));
  const Dropout dropout(threshold);
  for (int64_t start = 0; start < rows; start += kRows) {
    const int64_t n = std::min(span.count, span.skipped + start + kRows);
    const int64_t wide = up(n, 2 * kWidth);
    products(head.query.row(start), head.query.step, head.columns.row(0), head.columns.step, width,
             n, head.pattern.row(start), head.pattern.step);
    products(head.slopes.row(start), head.slopes.step, head.value_columns.row(0),
             head.value_columns.step, width, n, head.moved.row(start), head.moved.step);
    for (int64_t i = start; i < std::min(rows, start + kRows); ++i) {
      const int64_t row = span.skipped + i;
      float *weights = head.pattern.row(i), *moved = head.moved.row(i);
      hide(weights, row, wide, blocked_row(blocked, span, row));
      const float denominator =
          data<float>(denominators)[(span.first_query + i) * shape.heads + h];
      for (int64_t j = 0; j < wide; j += kWidth)
        store(weights + j, exponential(load(weights + j) - denominator));
      float mean = 0.0f;  // of the pattern's slopes, weighted by the pattern
      for (int64_t d = 0; d < width; ++d)
        mean += widen(up_stream[i * all + d]) * widen(mixed[i * all + d]);
      if (threshold) {
        draws.fill(head.numbers.data(), wide);
        for (int64_t j = 0; j < wide; ++j) {
          moved[j] = weights[j] * (dropout(head.numbers[j], moved[j]) - mean);
          weights[j] = dropout(head.numbers[j], weights[j]);
        }
      } else {
        for (int64_t j = 0; j < wide; ++j) moved[j] = weights[j] * (moved[j] - mean);
      }
    }
    // Rows past the last have scores of 0, not -inf: they must not count below.
    for (int64_t i = std::min(rows, start + kRows); i < start + kRows; ++i) {
      std::fill_n(head.pattern.row(i), head.pattern.step, 0.0f);
      std::fill_n(head.moved.row(i), head.moved.step, 0.0f);
    }
    mix(head.moved.row(start), head.moved.step, 1, n, head.keys.row(0), head.keys.step,
        head.out.row(start));
  }
  const int64_t to_query = by_query.stride(0), to_other = by_other.stride(0);
  write_rows(data<T>(by_query) + span.first_query * to_query + h * width, to_query, head.out, rows,
             width, shape.scale);
  T* to = data<T>(by_other) + span.first * to_other + h * width;
  for (Panel* weights : {&head.moved, &head.pattern}) {  // of keys, then of values
    Panel& values = weights == &head.moved ? head.query : head.slopes;
    for (int64_t j = 0; j < span.count; j += kRows) {
      const int64_t from = std::max<int64_t>(0, j - span.skipped);  // the first that sees key j
      mix(weights->row(from) + j, 1, weights->step, rows - from, values.row(from), values.step,
          head.out.row(j));
    }
    write_rows(to, to_other, head.out, span.count, width);
    to += all;
  }
}

// -- all of them ------------------------------------------------------------------------------

// query [rows, heads * width], other [all_rows, 2 * heads * width] keys and values, both float32 or
// both bfloat16; spans [lists, 5]; blocked [n_ctx, n_ctx] or empty. Returns z, like query, and the
// denominators' logarithms [rows, heads].
std::tuple<Tensor, Tensor> attend_forward(const Tensor& query, const Tensor& other,
                                          const Tensor& spans, const Tensor& blocked,
                                          int64_t heads, int64_t threshold, int64_t seed) {
  const Shape shape(query, heads);
  Tensor z = at::empty(query.sizes(), query.options());
  Tensor denominators = at::empty({query.size(0), heads}, query.options().dtype(at::kFloat));
  Head head;
  for (int64_t list = 0; list < spans.size(0); ++list)
    for (int64_t h = 0; h < heads; ++h) {
      const auto run = is_half(query) ? forward<uint16_t> : forward<float>;
      run(head, query, other, span_of(spans, list), h, shape, blocked, threshold,
          Draws(seed, list * heads + h), z, denominators);
    }
  return {z, denominators};
}

// Writes the gradients into by_query and by_other, which are laid out like query and other.
void attend_backward(const Tensor& grad, const Tensor& z, const Tensor& denominators,
                     const Tensor& query, const Tensor& other, const Tensor& spans,
                     const Tensor& blocked, int64_t heads, int64_t threshold, int64_t seed,
                     Tensor by_query, Tensor by_other) {
  const Shape shape(query, heads);
  Head head;
  for (int64_t list = 0; list < spans.size(0); ++list)
    for (int64_t h = 0; h < heads; ++h) {
      const auto run = is_half(query) ? backward<uint16_t> : backward<float>;
      run(head, grad, z, denominators, query, other, span_of(spans, list), h, shape, blocked,
          threshold, Draws(seed, list * heads + h), by_query, by_other);
    }
}

}  // namespace

}  // namespace sortscope
