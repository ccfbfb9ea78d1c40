// What libtorch offers in C++ and the bindings lack: autograd functions whose two passes are Rust closures, gradients that
// are dropped instead of zeroed, FlashAttention in a window, fused AdamW, float32 precision, autocast with a kind, the stream
// that work goes to, and the memory of tensors and of the device.
//
// Tensors cross as pointers to at::Tensor, as in torch-sys. Every function that can fail returns its message, to be freed
// with autoresearch_free, or a null pointer.

#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/autocast_mode.h>
#include <c10/core/Allocator.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

char* message(const char* text) {
  size_t size = std::strlen(text) + 1;
  auto* copy = static_cast<char*>(std::malloc(size));
  if (copy != nullptr) std::memcpy(copy, text, size);
  return copy;
}

// Runs what may throw; its message is the result.
template <typename F>
char* guarded(F work) {
  try {
    work();
    return nullptr;
  } catch (const c10::Error& error) {
    return message(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return message(error.what());
  } catch (...) {
    return message("an unknown C++ exception");
  }
}

// What a pass of Rust hands over.
struct Sink {
  variable_list outputs;
  variable_list saved;
  std::string failure;
};

extern "C" {
using Forward = void (*)(void* closure, at::Tensor** inputs, size_t count, Sink* sink);
using Backward = void (*)(void* closure, at::Tensor** saved, size_t count, at::Tensor** gradients, size_t outputs,
                          Sink* sink);
using Drop = void (*)(void* closure);
}

// The closure of a backward pass; the graph owns it.
struct Closure : torch::CustomClassHolder {
  void* closure;
  Backward backward;
  Drop drop;
  Closure(void* closure, Backward backward, Drop drop) : closure(closure), backward(backward), drop(drop) {}
  ~Closure() override { drop(closure); }
};

struct Call {
  Forward forward;
  void* closure;
  c10::intrusive_ptr<Closure> backward;
};

std::vector<at::Tensor*> pointers(variable_list& tensors) {
  std::vector<at::Tensor*> result;
  for (auto& tensor : tensors) result.push_back(&tensor);
  return result;
}

void check(const Sink& sink) {
  if (!sink.failure.empty()) throw std::runtime_error(sink.failure);
}

struct RustFunction : torch::autograd::Function<RustFunction> {
  static variable_list forward(AutogradContext* ctx, at::TensorList inputs, Call* call) {
    variable_list copies = inputs.vec();
    auto arguments = pointers(copies);
    Sink sink;
    call->forward(call->closure, arguments.data(), arguments.size(), &sink);
    check(sink);
    TORCH_CHECK(!sink.outputs.empty(), "a forward pass must have an output");
    // Of an output that nobody used there is no gradient, instead of one of zeros.
    ctx->set_materialize_grads(false);
    ctx->save_for_backward(std::move(sink.saved));
    ctx->saved_data["backward"] = c10::IValue::make_capsule(call->backward);
    ctx->saved_data["inputs"] = static_cast<int64_t>(inputs.size());
    return std::move(sink.outputs);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    auto held = ctx->saved_data["backward"].toCapsule();
    auto* closure = static_cast<Closure*>(held.get());
    auto saved = ctx->get_saved_variables();
    auto arguments = pointers(saved);
    std::vector<at::Tensor*> given;
    for (auto& gradient : gradients) given.push_back(gradient.defined() ? &gradient : nullptr);
    Sink sink;
    closure->backward(closure->closure, arguments.data(), arguments.size(), given.data(), given.size(), &sink);
    check(sink);
    size_t expected = static_cast<size_t>(ctx->saved_data["inputs"].toInt());
    TORCH_CHECK(sink.outputs.size() == expected, "a backward pass gave ", sink.outputs.size(), " gradients for ",
                expected, " inputs");
    sink.outputs.emplace_back();  // the Call has none
    return std::move(sink.outputs);
  }
};

// Counts what the allocator of the CPU gives to this thread's tensors and to those of its backward passes.
struct Meter : c10::MemoryReportingInfoBase {
  std::atomic<int64_t> now{0};
  std::atomic<int64_t> peak{0};
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    int64_t after = now += size;
    int64_t seen = peak;
    while (after > seen && !peak.compare_exchange_weak(seen, after)) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
};

}  // namespace

extern "C" {

void autoresearch_free(char* text) { std::free(text); }

void autoresearch_output(Sink* sink, at::Tensor* tensor) { sink->outputs.push_back(tensor ? *tensor : at::Tensor()); }
void autoresearch_save(Sink* sink, at::Tensor* tensor) { sink->saved.push_back(*tensor); }
void autoresearch_fail(Sink* sink, const char* text, size_t size) { sink->failure = std::string(text, size); }

char* autoresearch_apply(at::Tensor** inputs, size_t count, Forward forward, void* forward_closure, Backward backward,
                         void* backward_closure, Drop drop, at::Tensor** outputs, size_t expected) {
  return guarded([&] {
    Call call{forward, forward_closure, c10::make_intrusive<Closure>(backward_closure, backward, drop)};
    variable_list arguments;
    for (size_t i = 0; i < count; i++) arguments.push_back(*inputs[i]);
    auto made = RustFunction::apply(at::TensorList(arguments), &call);
    TORCH_CHECK(made.size() == expected, "a forward pass gave ", made.size(), " outputs instead of ", expected);
    for (size_t i = 0; i < expected; i++) outputs[i] = new at::Tensor(std::move(made[i]));
  });
}

int autoresearch_grad_enabled() { return at::GradMode::is_enabled(); }

char* autoresearch_drop_grad(at::Tensor* tensor) {
  return guarded([&] { tensor->mutable_grad() = at::Tensor(); });
}

// FlashAttention of libtorch_cuda, causal, `reach` tokens back: q, k, v and the output are batch x sequence x heads x
// dimension. It is found by name at run time, as every operation, so that no header of CUDA is needed. Gives the output and
// what the backward pass needs besides: the logarithms of the sums, and two that are about dropout, of which there is none.
char* autoresearch_flash_forward(at::Tensor* q, at::Tensor* k, at::Tensor* v, int64_t reach, at::Tensor** outputs) {
  return guarded([&] {
    auto [output, sums, rng_state, unused, mask] = at::_flash_attention_forward(
        *q, *k, *v, /*cum_seq_q=*/std::nullopt, /*cum_seq_k=*/std::nullopt, q->size(1), k->size(1), /*dropout_p=*/0.0,
        /*is_causal=*/true, /*return_debug_mask=*/false, /*scale=*/std::nullopt, reach, /*window_size_right=*/0);
    size_t next = 0;
    for (const auto& tensor : {output, sums, rng_state, unused}) outputs[next++] = new at::Tensor(tensor);
  });
}

// `saved` are q, k, v and the four tensors of the forward pass; gives the gradients of q, k and v.
char* autoresearch_flash_backward(at::Tensor* gradient, at::Tensor** saved, int64_t reach, at::Tensor** gradients) {
  return guarded([&] {
    auto of = [&](size_t i) -> const at::Tensor& { return *saved[i]; };
    auto [q, k, v] = at::_flash_attention_backward(
        *gradient, of(0), of(1), of(2), of(3), of(4), /*cum_seq_q=*/{}, /*cum_seq_k=*/{}, of(0).size(1), of(1).size(1),
        /*dropout_p=*/0.0, /*is_causal=*/true, of(5), of(6), /*scale=*/std::nullopt, reach, /*window_size_right=*/0);
    size_t next = 0;
    for (const auto& tensor : {q, k, v}) gradients[next++] = new at::Tensor(tensor);
  });
}

char* autoresearch_adamw(at::Tensor** params, at::Tensor** exp_avgs, at::Tensor** exp_avg_sqs, at::Tensor** steps,
                         size_t count, double lr, double beta1, double beta2, double weight_decay, double eps) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> p, g, m, v, s;
    for (size_t i = 0; i < count; i++) {
      // Without a gradient there is nothing to do, as in PyTorch.
      if (!params[i]->grad().defined()) continue;
      p.push_back(*params[i]);
      g.push_back(params[i]->grad());
      m.push_back(*exp_avgs[i]);
      v.push_back(*exp_avg_sqs[i]);
      s.push_back(*steps[i]);
    }
    if (p.empty()) return;
    at::_foreach_add_(s, 1);
    at::_fused_adamw_(p, g, m, v, {}, s, lr, beta1, beta2, weight_decay, eps, false, false);
  });
}

// 0: IEEE float32; 1: what is fastest (TF32 on CUDA, oneDNN on the CPU).
char* autoresearch_matmul_precision(int fast) {
  return guarded([&] {
    auto& context = at::globalContext();
    using at::Float32Backend;
    using at::Float32Op;
    using at::Float32Precision;
    context.setFloat32Precision(Float32Backend::MKLDNN, Float32Op::MATMUL,
                                fast ? Float32Precision::BF16 : Float32Precision::IEEE);
    if (at::hasCUDA()) {
      context.setFloat32Precision(Float32Backend::CUDA, Float32Op::MATMUL,
                                  fast ? Float32Precision::TF32 : Float32Precision::IEEE);
    }
  });
}

// Autocast of a device type to a kind; gives back what it was, to be handed to autoresearch_autocast_end.
char* autoresearch_autocast(int cuda, int8_t kind, int enabled, int* was_enabled, int8_t* was_kind) {
  return guarded([&] {
    auto type = cuda ? at::kCUDA : at::kCPU;
    *was_enabled = at::autocast::is_autocast_enabled(type);
    *was_kind = static_cast<int8_t>(at::autocast::get_autocast_dtype(type));
    at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(kind));
    at::autocast::set_autocast_enabled(type, enabled != 0);
    if (enabled != 0) {
      at::autocast::increment_nesting();
    }
  });
}

char* autoresearch_autocast_end(int cuda, int was_enabled, int8_t was_kind) {
  return guarded([&] {
    auto type = cuda ? at::kCUDA : at::kCPU;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(was_kind));
    at::autocast::set_autocast_enabled(type, was_enabled != 0);
  });
}

void autoresearch_meter_start() {
  c10::ThreadLocalDebugInfo::_push(c10::DebugInfoKind::PROFILER_STATE, std::make_shared<Meter>());
}

void autoresearch_meter_stop(int64_t* now, int64_t* peak) {
  auto held = c10::ThreadLocalDebugInfo::_pop(c10::DebugInfoKind::PROFILER_STATE);
  auto* meter = static_cast<Meter*>(held.get());
  *now = meter->now;
  *peak = meter->peak;
}

// The stream that work on this thread goes to, as the driver knows it.
char* autoresearch_cuda_stream(int index, void** stream) {
  return guarded([&] {
    c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
    *stream = guard.getStream({c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index)}).native_handle();
  });
}

// Copies a tensor to memory of the host that the accelerator of this process reads by itself. Without the device, which
// libtorch has deprecated as an argument, and warns of at every call.
char* autoresearch_pin(at::Tensor* tensor, at::Tensor** output) {
  return guarded([&] { *output = new at::Tensor(tensor->pin_memory()); });
}

// Lets segments of CUDA's allocator grow, unless the environment has settings of its own.
char* autoresearch_expand_segments(int* expanded) {
  return guarded([&] {
    using c10::CachingAllocator::AcceleratorAllocatorConfig;
    if (c10::CachingAllocator::getAllocatorSettings().empty()) {
      c10::CachingAllocator::setAllocatorSettings("expandable_segments:True");
    }
    *expanded = AcceleratorAllocatorConfig::use_expandable_segments();
  });
}

// Attention by cuDNN, on or off.
char* autoresearch_cudnn_attention(int enabled) {
  return guarded([&] { at::globalContext().setSDPUseCuDNN(enabled != 0); });
}

char* autoresearch_cuda_free(int index, int64_t* free) {
  return guarded([&] {
    auto [available, total] = at::getDeviceAllocator(at::kCUDA)->getMemoryInfo(static_cast<c10::DeviceIndex>(index));
    *free = static_cast<int64_t>(available);
  });
}

char* autoresearch_cuda_memory(int index, int64_t* now, int64_t* peak) {
  return guarded([&] {
    auto stats = at::getDeviceAllocator(at::kCUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(index));
    constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *now = stats.allocated_bytes[all].current;
    *peak = stats.allocated_bytes[all].peak;
  });
}

}  // extern "C"
