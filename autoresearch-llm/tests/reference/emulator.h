// A GPU's block on a CPU: every thread has a stack of its own and runs until a barrier, where the next one goes on. So the
// source of a kernel, its barriers and its shuffles included, is the device's. Threads run in order or in the opposite order:
// one that reads what another has yet to write reads the wrong thing in one of the two.
//
// It stands before the kernel's source; EMULATE(name) after it makes a kernel known.

#include <csetjmp>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(n)
#define __shared__ static

namespace emulator {

struct Index {
  unsigned x, y, z;
};

enum class Waits { nothing, warp, block };

struct Thread {
  std::vector<char> stack;
  jmp_buf at;
  Index index;
  bool is_made = false, is_done = true;
  Waits waits;
  // Which of the two sets of slots of its warp the last shuffle used.
  int turn;
};

constexpr int WARP = 32, MOST = 1024, STACK = 1 << 15;

Thread threads[MOST];
Thread* now;
jmp_buf scheduler;
Index block_index, block_size, grid_size;
unsigned slots[MOST / WARP][2][WARP];
void (*work)(void**);
void** arguments;
char failure[256];
long long bytes[2];

inline void leave() {
  if (_setjmp(now->at) == 0) _longjmp(scheduler, 1);
}

inline void fail(const char* text) {
  if (failure[0] == 0) std::snprintf(failure, sizeof failure, "%s", text);
  // The stacks are in the middle of something: none goes on.
  for (Thread& thread : threads) thread.is_made = false;
  _longjmp(scheduler, 1);
}

inline void wait(Waits what) {
  now->waits = what;
  leave();
}

inline void main() {
  for (;;) {
    work(arguments);
    now->is_done = true;
    leave();
  }
}

inline void resume(Thread& thread) {
  now = &thread;
  if (_setjmp(scheduler) != 0) return;
  if (thread.is_made) _longjmp(thread.at, 1);
  thread.is_made = true;
  if (thread.stack.empty()) thread.stack.resize(STACK);
  static ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = thread.stack.data();
  context.uc_stack.ss_size = STACK;
  context.uc_link = nullptr;
  makecontext(&context, main, 0);
  setcontext(&context);
}

// Lets those go on who all wait for the same; false when nobody can.
inline bool release(int count) {
  auto all = [](int from, int to, Waits what) {
    for (int i = from; i < to; i++) {
      if (threads[i].is_done || threads[i].waits != what) return false;
    }
    for (int i = from; i < to; i++) threads[i].waits = Waits::nothing;
    return true;
  };
  bool any = all(0, count, Waits::block);
  for (int i = 0; i < count; i += WARP) any |= all(i, i + WARP < count ? i + WARP : count, Waits::warp);
  return any;
}

inline void run_block(bool reversed) {
  int count = static_cast<int>(block_size.x * block_size.y * block_size.z);
  for (int i = 0; i < count; i++) {
    unsigned u = static_cast<unsigned>(i);
    threads[i].index = {u % block_size.x, u / block_size.x % block_size.y, u / block_size.x / block_size.y};
    threads[i].is_done = false;
    threads[i].waits = Waits::nothing;
    threads[i].turn = 0;
  }
  for (;;) {
    int done = 0;
    for (int i = 0; i < count; i++) {
      Thread& thread = threads[reversed ? count - 1 - i : i];
      if (!thread.is_done && thread.waits == Waits::nothing) resume(thread);
      if (failure[0] != 0) return;
      done += thread.is_done;
    }
    if (done == count) return;
    if (!release(count)) {
      std::snprintf(failure, sizeof failure, "%d of %d threads are at an end, and the others wait at a barrier", done, count);
      for (Thread& thread : threads) thread.is_made = false;
      return;
    }
  }
}

inline void touched(const void* at, long long count, long long i, long long n, size_t size, bool writes) {
  if (at == nullptr || i < 0 || n < 1 || i + n > count) {
    char text[200];
    std::snprintf(text, sizeof text, "thread %u of block %u %s elements %lld to %lld of a tensor of %lld", now->index.x,
                  block_index.x, writes ? "writes" : "reads", i, i + n, at == nullptr ? 0 : count);
    fail(text);
  }
  bytes[writes] += n * static_cast<long long>(size);
}

template <typename... A, size_t... I>
void apply(void (*kernel)(A...), void** given, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(given[I])...);
}

template <typename... A>
void apply(void (*kernel)(A...), void** given) {
  apply(kernel, given, std::index_sequence_for<A...>());
}

}  // namespace emulator

#define threadIdx emulator::now->index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size
#define TOUCHED(array, i, n, writes) emulator::touched((array).at, (array).count, i, n, sizeof *(array).at, writes)

inline void __syncthreads() { emulator::wait(emulator::Waits::block); }
inline void __syncwarp(unsigned = ~0u) { emulator::wait(emulator::Waits::warp); }

inline float __uint_as_float(unsigned x) {
  float value;
  std::memcpy(&value, &x, sizeof value);
  return value;
}

inline unsigned __float_as_uint(float x) {
  unsigned value;
  std::memcpy(&value, &x, sizeof value);
  return value;
}

inline float __shfl_xor_sync(unsigned, float value, int by) {
  using namespace emulator;
  int number = static_cast<int>(now - threads), lane = number % WARP;
  auto& set = slots[number / WARP][now->turn];
  now->turn = 1 - now->turn;
  set[lane] = __float_as_uint(value);
  wait(Waits::warp);
  return __uint_as_float(set[lane ^ by]);
}

inline float rsqrtf(float x) { return 1 / std::sqrt(x); }

// Runs a kernel, and says what failed, or nothing. `counted` gets the bytes read and written.
#define EMULATE(name)                                                                                         \
  extern "C" const char* emulate_##name(void** given, unsigned blocks, unsigned size, int reversed, long long* counted) { \
    using namespace emulator;                                                                                 \
    work = [](void** given) { apply(&name, given); };                                                         \
    arguments = given;                                                                                        \
    failure[0] = 0;                                                                                           \
    bytes[0] = bytes[1] = 0;                                                                                  \
    grid_size = {blocks, 1, 1};                                                                               \
    block_size = {size, 1, 1};                                                                                \
    for (unsigned i = 0; i < blocks && failure[0] == 0; i++) {                                                \
      block_index = {reversed ? blocks - 1 - i : i, 0, 0};                                                    \
      run_block(reversed != 0);                                                                               \
    }                                                                                                         \
    counted[0] = bytes[0];                                                                                    \
    counted[1] = bytes[1];                                                                                    \
    return failure[0] == 0 ? nullptr : failure;                                                               \
  }
