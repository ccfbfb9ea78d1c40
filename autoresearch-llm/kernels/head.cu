// Soft cap and cross-entropy: a block for each token. The logits are words wide and become, where asked for, their own
// gradients, times `share`, what a token weighs in the mean. A token whose target is -1 does not count: its loss and its
// gradients are 0.

KERNEL cross_entropy(Global<T> logits, Global<const i64> targets, Global<const float> share, Global<float> losses, i64 words,
                     float softcap, int with_gradient) {
  i64 token = blockIdx.x, start = token * words, target = targets.same(token, 32);
  bool counts = target != -1, exists = target >= 0 && target < words;
  // Read before it is overwritten. A word that there is not makes the loss NaN, which ends a training.
  float aimed = __uint_as_float(0x7fc00000u);
  if (threadIdx.x == 0 && exists) aimed = softcap * tanhf(logits.get(start + target) / softcap);
  // The logits are at most `softcap`: no maximum has to be looked for.
  float sum[1] = {0};
  if (counts) {
    for (i64 c = 8 * threadIdx.x; c < words; c += 8 * blockDim.x) {
      i64 n = words - c;
      Pack z = logits.pack(start + c, n);
      for (int j = 0; j < 8; j++) {
        if (j < n) sum[0] += expf(softcap * tanhf(z.v[j] / softcap) - softcap);
      }
    }
  }
  block_sum(sum);
  // The barriers of a sum are not there where the block is one warp.
  __syncthreads();
  if (threadIdx.x == 0) losses.set(token, counts ? softcap + logf(sum[0]) - aimed : 0);
  if (with_gradient == 0) return;
  float scale = counts ? share.same(0, 32) : 0;
  for (i64 c = 8 * threadIdx.x; c < words; c += 8 * blockDim.x) {
    i64 n = words - c;
    Pack z = {};
    if (counts) {
      z = logits.pack(start + c, n);
      for (int j = 0; j < 8; j++) {
        float cap = tanhf(z.v[j] / softcap), p = expf(softcap * cap - softcap) / sum[0];
        z.v[j] = (p - (c + j == target ? 1 : 0)) * (1 - cap * cap) * scale;
      }
    }
    logits.store(start + c, n, z);
  }
}
