// The words that every kernel is written in. It is put before a kernel's source, after `#define T`, the type of activations,
// bf16 or float, and `#define MOST_THREADS`, those of the kernel's largest block. The same text is compiled for a GPU by NVRTC, which has no header folder, and for the emulation of the tests
// by a C++ compiler, after tests/reference/emulator.h.

#ifndef TOUCHED
// Where the emulation checks bounds and counts bytes: `n` elements of `array` from `i` on are read or written, `writes`.
#define TOUCHED(array, i, n, writes)
#endif

#define DEVICE __device__ __forceinline__
// A block has all of its registers at once: without the bound the compiler may take more than a large block can have.
#define KERNEL extern "C" __global__ void __launch_bounds__(MOST_THREADS)

typedef long long i64;

struct bf16 {
  unsigned short bits;
};

DEVICE float widen(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
DEVICE float widen(float x) { return x; }
DEVICE i64 widen(i64 x) { return x; }

DEVICE void narrow(float x, float& into) { into = x; }
// To the nearest, halves to even.
DEVICE void narrow(float x, bf16& into) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(into.bits) : "f"(x));
#else
  unsigned bits = __float_as_uint(x);
  bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  into.bits = static_cast<unsigned short>(is_nan ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
#endif
}

// As a value of type T would be.
DEVICE float rounded(float x) {
  T low;
  narrow(x, low);
  return widen(low);
}

// Eight neighbouring channels, the share of one thread.
struct Pack {
  float v[8];
};

DEVICE float dot(const Pack& a, const Pack& b) {
  float sum = 0;
  for (int j = 0; j < 8; j++) sum += a.v[j] * b.v[j];
  return sum;
}

// Sixteen bytes, which a thread reads or writes at once.
struct alignas(16) Words {
  unsigned at[4];
};

DEVICE void unpack(const Words* from, const float*, Pack& into) {
  for (int w = 0; w < 2; w++) {
    Words words = from[w];
    for (int j = 0; j < 4; j++) into.v[4 * w + j] = __uint_as_float(words.at[j]);
  }
}

DEVICE void unpack(const Words* from, const bf16*, Pack& into) {
  Words words = *from;
  for (int j = 0; j < 4; j++) {
    into.v[2 * j] = __uint_as_float(words.at[j] << 16);
    into.v[2 * j + 1] = __uint_as_float(words.at[j] & 0xffff0000u);
  }
}

DEVICE void repack(const Pack& from, float*, Words* into) {
  for (int w = 0; w < 2; w++) {
    Words words;
    for (int j = 0; j < 4; j++) words.at[j] = __float_as_uint(from.v[4 * w + j]);
    into[w] = words;
  }
}

DEVICE void repack(const Pack& from, bf16*, Words* into) {
  Words words;
  for (int j = 0; j < 4; j++) {
    bf16 low, high;
    narrow(from.v[2 * j], low);
    narrow(from.v[2 * j + 1], high);
    words.at[j] = static_cast<unsigned>(high.bits) << 16 | low.bits;
  }
  *into = words;
}

// A tensor in the device's memory: side by side, `count` elements. One that is not given is false.
template <typename U>
struct Global {
  U* at;
  i64 count;

  DEVICE explicit operator bool() const { return at != nullptr; }

  DEVICE auto get(i64 i) const {
    TOUCHED(*this, i, 1, false);
    return widen(at[i]);
  }

  // The element that `lanes` neighbouring threads all want: one access to memory.
  DEVICE auto same(i64 i, int lanes) const {
    if (threadIdx.x % lanes == 0) {
      TOUCHED(*this, i, 1, false);
    }
    return widen(at[i]);
  }

  DEVICE void set(i64 i, float value) const {
    TOUCHED(*this, i, 1, true);
    narrow(value, at[i]);
  }

  // The elements from `i` on, of which there are `n`, at most eight; the rest is 0.
  DEVICE Pack pack(i64 i, i64 n) const {
    Pack pack = {};
    TOUCHED(*this, i, n < 8 ? n : 8, false);
    if (is_whole(i, n)) {
      unpack(reinterpret_cast<const Words*>(at + i), at, pack);
    } else {
      for (int j = 0; j < 8; j++) {
        if (j < n) pack.v[j] = widen(at[i + j]);
      }
    }
    return pack;
  }

  // Stores what `pack` reads.
  DEVICE void store(i64 i, i64 n, const Pack& pack) const {
    TOUCHED(*this, i, n < 8 ? n : 8, true);
    if (is_whole(i, n)) {
      repack(pack, at, reinterpret_cast<Words*>(at + i));
    } else {
      for (int j = 0; j < 8; j++) {
        if (j < n) narrow(pack.v[j], at[i + j]);
      }
    }
  }

  // Eight elements that lie as the machine's wide accesses need it.
  DEVICE bool is_whole(i64 i, i64 n) const { return n >= 8 && (reinterpret_cast<size_t>(at + i) & 15) == 0; }
};

// The sum over `lanes` neighbouring threads, a power of two up to 32; each of them gets it. All threads of a warp must come
// here.
DEVICE float lanes_sum(float value, int lanes) {
  for (int by = lanes / 2; by > 0; by /= 2) value += __shfl_xor_sync(0xffffffffu, value, by);
  return value;
}

// Sums over the block, of which each thread gets all. The block has whole warps, and all of its threads must come here.
template <int N>
DEVICE void block_sum(float (&values)[N]) {
  __shared__ float parts[N][32];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (int j = 0; j < N; j++) values[j] = lanes_sum(values[j], 32);
  if (warps == 1) return;
  // Threads may still read the parts of the sums before.
  __syncthreads();
  if (lane == 0) {
    for (int j = 0; j < N; j++) parts[j][warp] = values[j];
  }
  __syncthreads();
  for (int j = 0; j < N; j++) values[j] = lanes_sum(lane < warps ? parts[j][lane] : 0.0f, 32);
}
