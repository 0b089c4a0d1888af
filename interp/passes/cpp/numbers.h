// Number types and random numbers that the kernels share.

#pragma once

#include <cstdint>
#include <cstring>

#include <ATen/core/Tensor.h>

namespace sortscope {

using at::Tensor;
using std::int64_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;

// -- numbers ----------------------------------------------------------------------------------

inline float widen(float x) { return x; }

inline float widen(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

template <typename T>
inline T narrow(float x);

template <>
inline float narrow<float>(float x) {
  return x;
}

template <>
inline uint16_t narrow<uint16_t>(float x) {  // to the nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

template <typename T>
inline T* data(const Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

inline bool is_half(const Tensor& x) { return x.scalar_type() == at::kBFloat16; }

// -- random numbers ---------------------------------------------------------------------------

// xoshiro128++ (Blackman and Vigna 2021), sixteen generators side by side. The seed of each comes
// from splitmix64, as its authors advise.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t stream) {
    uint64_t state = mix(seed) ^ mix(stream + kGolden);
    for (int lane = 0; lane < kLanes; ++lane)
      for (int word = 0; word < 4; word += 2) {
        const uint64_t bits = mix(state += kGolden);
        s_[word][lane] = static_cast<uint32_t>(bits);
        s_[word + 1][lane] = static_cast<uint32_t>(bits >> 32) | 1u;  // never all zero
      }
  }

  // Sixteen-bit numbers; `out` has room for `count` rounded up to a multiple of kAtOnce.
  void fill(uint16_t* out, int64_t count) {
    for (int64_t at = 0; at < count; at += kAtOnce) {
      uint32_t drawn[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        drawn[lane] = rotate(s_[0][lane] + s_[3][lane], 7) + s_[0][lane];
        const uint32_t shifted = s_[1][lane] << 9;
        s_[2][lane] ^= s_[0][lane];
        s_[3][lane] ^= s_[1][lane];
        s_[1][lane] ^= s_[2][lane];
        s_[0][lane] ^= s_[3][lane];
        s_[2][lane] ^= shifted;
        s_[3][lane] = rotate(s_[3][lane], 11);
      }
      std::memcpy(out + at, drawn, sizeof drawn);
    }
  }

  static constexpr int kLanes = 16, kAtOnce = 2 * kLanes;

  static int64_t room(int64_t count) { return (count + kAtOnce - 1) / kAtOnce * kAtOnce; }

 private:
  static constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ull;

  static uint32_t rotate(uint32_t x, int by) { return (x << by) | (x >> (32 - by)); }

  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  alignas(64) uint32_t s_[4][kLanes];
};

// Inverted dropout of one row: a unit is kept where its number is at least `threshold`, of 65536.
struct Dropout {
  int64_t threshold;
  float scale;

  explicit Dropout(int64_t at_least)
      : threshold(at_least), scale(static_cast<float>(65536.0 / (65536.0 - at_least))) {}

  float operator()(uint16_t number, float x) const {
    return static_cast<int32_t>(number) >= static_cast<int32_t>(threshold) ? x * scale : 0.0f;
  }
};

}  // namespace sortscope
