// Value embeddings: v + 2 * sigmoid(logit) * table[word], with a logit for each token and head. v is rows x size, where a row is
// a head of a token; `lanes` neighbouring threads have a row. Where the table has no such word, the result and its
// gradients are NaN, which ends a training.

DEVICE float sigmoid(float x) { return 1 / (1 + expf(-x)); }

KERNEL gate(Global<const T> v, Global<const T> logits, Global<const T> table, Global<const i64> words, Global<T> mixed,
            i64 rows, i64 heads, i64 size, i64 vocabulary, int lanes) {
  i64 row = static_cast<i64>(blockIdx.x) * (blockDim.x / lanes) + threadIdx.x / lanes;
  if (row >= rows) return;
  i64 word = words.same(row / heads, lanes), embedded = (word * heads + row % heads) * size;
  bool exists = word >= 0 && word < vocabulary;
  float weight = exists ? 2 * sigmoid(logits.same(row, lanes)) : __uint_as_float(0x7fc00000u);
  for (i64 c = 8 * (threadIdx.x % lanes); c < size; c += 8 * lanes) {
    i64 n = size - c;
    Pack sum = v.pack(row * size + c, n), e = {};
    if (exists) e = table.pack(embedded + c, n);
    for (int j = 0; j < 8; j++) sum.v[j] += weight * e.v[j];
    mixed.store(row * size + c, n, sum);
  }
}

// The gradient of v is that of the result. Those of the table are given by token: rows x size.
KERNEL gate_backward(Global<const T> gradient, Global<const T> logits, Global<const T> table, Global<const i64> words,
                     Global<T> grad_logits, Global<T> grad_embedded, i64 rows, i64 heads, i64 size,
                     i64 vocabulary, int lanes) {
  i64 row = static_cast<i64>(blockIdx.x) * (blockDim.x / lanes) + threadIdx.x / lanes;
  bool inside = row < rows;
  float share = 0, sum = 0;
  if (inside) {
    i64 word = words.same(row / heads, lanes), embedded = (word * heads + row % heads) * size;
    bool exists = word >= 0 && word < vocabulary;
    share = exists ? sigmoid(logits.same(row, lanes)) : __uint_as_float(0x7fc00000u);
    for (i64 c = 8 * (threadIdx.x % lanes); c < size; c += 8 * lanes) {
      i64 n = size - c;
      Pack g = gradient.pack(row * size + c, n), e = {};
      if (exists) e = table.pack(embedded + c, n);
      sum += dot(g, e);
      for (int j = 0; j < 8; j++) g.v[j] *= 2 * share;
      grad_embedded.store(row * size + c, n, g);
    }
  }
  sum = lanes_sum(sum, lanes);
  if (inside && threadIdx.x % lanes == 0) grad_logits.set(row, 2 * share * (1 - share) * sum);
}
