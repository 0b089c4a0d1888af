// The MLP of a layer, forward and backward, in blocks of rows; and dropout by itself.

#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "numbers.h"

namespace sortscope {
namespace {

// x [rows, width], each unit kept or dropped; the same seed drops the same units.
Tensor drop(const Tensor& x, int64_t threshold, int64_t seed) {
  TORCH_CHECK(x.is_contiguous() && x.scalar_type() == at::kFloat && x.dim() == 2);
  const int64_t rows = x.size(0), width = x.size(1);
  Tensor out = at::empty_like(x);
  Draws draws(seed, 0);
  const Dropout dropout(threshold);
  std::vector<uint16_t> numbers(Draws::room(width));
  for (int64_t row = 0; row < rows; ++row) {
    draws.fill(numbers.data(), width);
    const float* from = data<float>(x) + row * width;
    float* to = data<float>(out) + row * width;
    for (int64_t i = 0; i < width; ++i) to[i] = dropout(numbers[i], from[i]);
  }
  return out;
}

// -- the MLP ----------------------------------------------------------------------------------

// Rows at a time: the block's hidden units are to stay in a core's cache.
int64_t block_rows(const Tensor& weight) { return is_half(weight) ? 512 : 128; }

template <typename T>
void activate(T* hidden, int64_t rows, int64_t width, const float* bias, int64_t threshold,
              Draws& draws) {
  const Dropout dropout(threshold);
  std::vector<uint16_t> numbers(Draws::room(width));
  for (int64_t row = 0; row < rows; ++row, hidden += width) {
    if (threshold) draws.fill(numbers.data(), width);
    const uint16_t* number = numbers.data();
    if (threshold) {
      for (int64_t i = 0; i < width; ++i) {
        const float x = widen(hidden[i]) + bias[i];
        hidden[i] = narrow<T>(dropout(number[i], x < 0.0f ? 0.0f : x));
      }
    } else {
      for (int64_t i = 0; i < width; ++i) {
        const float x = widen(hidden[i]) + bias[i];
        hidden[i] = narrow<T>(x < 0.0f ? 0.0f : x);
      }
    }
  }
}

// The slope of `activate`, from what it left: zero where ReLU or dropout closed.
template <typename T>
void deactivate(T* slope, const T* hidden, int64_t rows, int64_t width, float scale, float* sum) {
  for (int64_t row = 0; row < rows; ++row, slope += width, hidden += width)
    for (int64_t i = 0; i < width; ++i) {
      const float x = widen(hidden[i]) <= 0.0f ? 0.0f : widen(slope[i]) * scale;
      slope[i] = narrow<T>(x);
      sum[i] += x;
    }
}

// sum += a @ b, in float32.
void add_product(Tensor& sum, const Tensor& a, const Tensor& b, Tensor& scratch) {
  if (!is_half(a)) {
    at::addmm_out(sum, sum, a, b);
    return;
  }
  at::mm_out(scratch, a, b);
  float* to = data<float>(sum);
  const uint16_t* from = data<uint16_t>(scratch);
  for (int64_t i = 0, n = sum.numel(); i < n; ++i) to[i] += widen(from[i]);
}

// to [rows, width] = from + bias
template <typename T>
void add_bias(float* to, const T* from, int64_t rows, int64_t width, const float* bias) {
  for (int64_t row = 0; row < rows; ++row, to += width, from += width)
    for (int64_t i = 0; i < width; ++i) to[i] = widen(from[i]) + (bias ? bias[i] : 0.0f);
}

// x [rows, d_model] float32; w_in [d_model, d_mlp], w_out [d_mlp, d_model] in the type to compute
// in; biases float32. Returns what is added to the stream, and the hidden units.
std::tuple<Tensor, Tensor> mlp_forward(const Tensor& x, const Tensor& w_in, const Tensor& b_in,
                                       const Tensor& w_out, const Tensor& b_out,
                                       int64_t threshold, int64_t seed) {
  const int64_t rows = x.size(0), width = w_in.size(1), step = block_rows(w_in);
  const bool half = is_half(w_in);
  Tensor hidden = at::empty({rows, width}, w_in.options());
  Tensor out = at::empty_like(x), scratch = at::empty({half ? std::min(step, rows) : 0, x.size(1)}, w_in.options());
  Draws draws(seed, 0);
  for (int64_t start = 0; start < rows; start += step) {
    const int64_t n = std::min(step, rows - start);
    const Tensor from = x.narrow(0, start, n).to(w_in.scalar_type());
    Tensor h = hidden.narrow(0, start, n), to = out.narrow(0, start, n);
    at::mm_out(h, from, w_in);
    if (half) {
      activate(data<uint16_t>(h), n, width, data<float>(b_in), threshold, draws);
      Tensor product = scratch.narrow(0, 0, n);
      at::mm_out(product, h, w_out);
      add_bias(data<float>(to), data<uint16_t>(product), n, x.size(1), data<float>(b_out));
    } else {
      activate(data<float>(h), n, width, data<float>(b_in), threshold, draws);
      at::addmm_out(to, b_out, h, w_out);
    }
  }
  return {out, hidden};
}

// Gradients by x, w_in, b_in and the transpose of w_out, all in float32.
std::tuple<Tensor, Tensor, Tensor, Tensor> mlp_backward(const Tensor& grad, const Tensor& x,
                                                        const Tensor& hidden, const Tensor& w_in,
                                                        const Tensor& w_out, int64_t threshold) {
  const int64_t rows = x.size(0), width = w_in.size(1), step = block_rows(w_in);
  const bool half = is_half(w_in);
  const auto kind = w_in.scalar_type();
  const float scale = Dropout(threshold).scale;
  Tensor by_x = at::empty_like(x);
  Tensor by_in = at::zeros(w_in.sizes(), x.options()), by_out = at::zeros(w_in.sizes(), x.options());
  Tensor by_bias = at::zeros({width}, x.options());
  const int64_t most = std::min(step, rows);
  Tensor slopes = at::empty({most, width}, w_in.options());
  Tensor sums = at::empty(half ? w_in.sizes() : at::IntArrayRef({0}), w_in.options());
  Tensor products = at::empty({half ? most : 0, x.size(1)}, w_in.options());
  for (int64_t start = 0; start < rows; start += step) {
    const int64_t n = std::min(step, rows - start);
    const Tensor from = x.narrow(0, start, n).to(kind), g = grad.narrow(0, start, n).to(kind);
    const Tensor h = hidden.narrow(0, start, n);
    Tensor slope = slopes.narrow(0, 0, n), to = by_x.narrow(0, start, n);
    at::mm_out(slope, g, w_out.t());
    if (half)
      deactivate(data<uint16_t>(slope), data<uint16_t>(h), n, width, scale, data<float>(by_bias));
    else
      deactivate(data<float>(slope), data<float>(h), n, width, scale, data<float>(by_bias));
    add_product(by_out, g.t(), h, sums);
    add_product(by_in, from.t(), slope, sums);
    if (half) {
      Tensor product = products.narrow(0, 0, n);
      at::mm_out(product, slope, w_in.t());
      add_bias(data<float>(to), data<uint16_t>(product), n, x.size(1), nullptr);
    } else {
      at::mm_out(to, slope, w_in.t());
    }
  }
  return {by_x, by_in, by_bias, by_out};
}

}  // namespace

}  // namespace sortscope
