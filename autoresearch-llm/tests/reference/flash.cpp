// FlashAttention's two operators on the CPU, by their definition. libtorch has them for CUDA alone; with these registered,
// the code that calls them (src/ops/flash.rs) is tested where there is no GPU: the order of its arguments, its layouts, and
// what it keeps for the backward pass. Anything but what that code should say is refused.

#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>
#include <optional>
#include <tuple>

namespace {

using at::Tensor;
using c10::SymInt;

// From batch x sequence x heads x dimension to batch x heads x sequence x dimension, as many heads as the queries have.
Tensor heads_first(const Tensor& x, int64_t heads) {
  auto moved = x.transpose(1, 2).to(at::kDouble);
  return moved.repeat_interleave(heads / moved.size(1), 1);
}

// And back; the gradients of heads that stood for several queries' are added up.
Tensor heads_last(const Tensor& x, const Tensor& like) {
  int64_t group = x.size(1) / like.size(2);
  auto sums = x.unflatten(1, {like.size(2), group}).sum(2);
  return sums.transpose(1, 2).contiguous().to(like.scalar_type());
}

Tensor scores(const Tensor& q, const Tensor& k, int64_t left, int64_t right) {
  int64_t tokens = q.size(2);
  auto back = at::arange(tokens).unsqueeze(1) - at::arange(tokens).unsqueeze(0);
  auto hidden = (back > left).logical_or(back < -right);
  return (q.matmul(k.mT()) / std::sqrt(static_cast<double>(q.size(3)))).masked_fill(hidden, -INFINITY);
}

void check(const Tensor& q, const Tensor& k, const Tensor& v, const SymInt& max_q, const SymInt& max_k, double dropout,
           bool causal, const std::optional<double>& scale, const std::optional<SymInt>& left,
           const std::optional<SymInt>& right) {
  TORCH_CHECK(max_q == q.size(1) && max_k == k.size(1) && k.sizes() == v.sizes(), "lengths");
  TORCH_CHECK(q.stride(-1) == 1 && k.stride(-1) == 1 && v.stride(-1) == 1, "the elements of a head are apart");
  TORCH_CHECK(dropout == 0 && causal && !scale && left && right && *right == 0, "not causal, or without a window");
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> forward(
    const Tensor& query, const Tensor& key, const Tensor& value, const std::optional<Tensor>& cum_q,
    const std::optional<Tensor>& cum_k, SymInt max_q, SymInt max_k, double dropout, bool causal, bool debug,
    std::optional<double> scale, std::optional<SymInt> left, std::optional<SymInt> right,
    const std::optional<Tensor>& used, const std::optional<Tensor>& slopes) {
  check(query, key, value, max_q, max_k, dropout, causal, scale, left, right);
  TORCH_CHECK(!cum_q && !cum_k && !debug && !used && !slopes, "more than was asked for");
  auto q = heads_first(query, query.size(2)), k = heads_first(key, query.size(2)), v = heads_first(value, query.size(2));
  auto s = scores(q, k, left->expect_int(), 0);
  auto output = heads_last(s.softmax(-1).matmul(v), query);
  return {output, s.logsumexp(-1).to(at::kFloat), at::zeros({2}, at::kUInt64), at::zeros({}, at::kUInt64), Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> backward(
    const Tensor& gradient, const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& output,
    const Tensor& sums, const Tensor& cum_q, const Tensor& cum_k, SymInt max_q, SymInt max_k, double dropout, bool causal,
    const Tensor& rng_state, const Tensor& unused, std::optional<double> scale, std::optional<SymInt> left,
    std::optional<SymInt> right) {
  check(query, key, value, max_q, max_k, dropout, causal, scale, left, right);
  TORCH_CHECK(!cum_q.defined() && !cum_k.defined(), "more than was asked for");
  TORCH_CHECK(rng_state.dim() == 1 && unused.dim() == 0 && gradient.sizes() == query.sizes(), "the order of the tensors");
  int64_t heads = query.size(2);
  auto q = heads_first(query, heads), k = heads_first(key, heads), v = heads_first(value, heads);
  auto g = heads_first(gradient, heads), o = heads_first(output, heads);
  // From the saved logarithms of the sums, as the kernel does.
  auto p = (scores(q, k, left->expect_int(), 0) - sums.unsqueeze(-1)).exp();
  auto ds = p * (g.matmul(v.mT()) - (g * o).sum(-1, true)) / std::sqrt(static_cast<double>(q.size(3)));
  return {heads_last(ds.matmul(k), query), heads_last(ds.mT().matmul(q), key), heads_last(p.mT().matmul(g), value)};
}

TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("_flash_attention_forward", forward);
  library.impl("_flash_attention_backward", backward);
}

}  // namespace
