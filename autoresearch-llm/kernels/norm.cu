// The residual stream: x + branch, then mixed with its origin, then RMS norm; a block for each row. What is not given is left
// out: without branch and origin it is the norm alone. Each thread has eight channels, so a row has at most 8192. `sum` is
// x + branch, which the gradient of the mixture needs.

KERNEL mix_norm(Global<const T> x, Global<const T> branch, Global<const T> origin, Global<const float> resid,
                Global<const float> skip, Global<T> sum, Global<T> mixed, Global<T> normed, Global<float> scale,
                i64 channels, float epsilon) {
  i64 row = blockIdx.x, c = 8 * threadIdx.x, at = row * channels + c, n = channels - c;
  Pack v = {};
  if (n > 0) {
    v = x.pack(at, n);
    if (branch) {
      Pack more = branch.pack(at, n);
      for (int j = 0; j < 8; j++) v.v[j] = rounded(v.v[j] + more.v[j]);
      if (sum) sum.store(at, n, v);
    }
    if (origin) {
      Pack first = origin.pack(at, n);
      float r = resid.same(0, 32), s = skip.same(0, 32);
      for (int j = 0; j < 8; j++) v.v[j] = r * v.v[j] + s * first.v[j];
    }
    if (mixed) {
      // The norm is that of the stream as it is kept.
      for (int j = 0; j < 8; j++) v.v[j] = rounded(v.v[j]);
      mixed.store(at, n, v);
    }
  }
  float squares[1] = {dot(v, v)};
  block_sum(squares);
  float factor = rsqrtf(squares[0] / channels + epsilon);
  if (threadIdx.x == 0) scale.set(row, factor);
  if (n > 0) {
    for (int j = 0; j < 8; j++) v.v[j] *= factor;
    normed.store(at, n, v);
  }
}

// x is the sum, and grad_x the gradient of both its parts. grad_later is a gradient of origin, from where it was used after this: it is added.
// grad_resid and grad_skip are summed over a row here, over the rows by the caller.
KERNEL mix_norm_backward(Global<const T> grad_mixed, Global<const T> grad_normed, Global<const T> normed,
                         Global<const float> scale, Global<const T> x, Global<const T> origin,
                         Global<const float> resid, Global<const float> skip, Global<const T> grad_later,
                         Global<T> grad_x, Global<T> grad_origin, Global<float> grad_resid, Global<float> grad_skip,
                         i64 channels) {
  i64 row = blockIdx.x, c = 8 * threadIdx.x, at = row * channels + c, n = channels - c;
  Pack g = {}, y = {};
  if (n > 0 && grad_normed) {
    g = grad_normed.pack(at, n);
    y = normed.pack(at, n);
  }
  float along[1] = {dot(g, y)};
  block_sum(along);
  float mean = along[0] / channels, factor = scale.same(row, 32);
  for (int j = 0; j < 8; j++) g.v[j] = (g.v[j] - y.v[j] * mean) * factor;
  if (n > 0 && grad_mixed) {
    Pack more = grad_mixed.pack(at, n);
    for (int j = 0; j < 8; j++) g.v[j] += more.v[j];
  }
  if (!origin) {
    if (n > 0) grad_x.store(at, n, g);
    return;
  }
  float sums[2] = {};
  if (n > 0) {
    Pack before = x.pack(at, n), first = origin.pack(at, n), of_first = {};
    sums[0] = dot(g, before);
    sums[1] = dot(g, first);
    if (grad_later) of_first = grad_later.pack(at, n);
    float r = resid.same(0, 32), s = skip.same(0, 32);
    for (int j = 0; j < 8; j++) {
      of_first.v[j] += s * g.v[j];
      g.v[j] *= r;
    }
    grad_x.store(at, n, g);
    grad_origin.store(at, n, of_first);
  }
  block_sum(sums);
  if (threadIdx.x == 0) {
    grad_resid.set(row, sums[0]);
    grad_skip.set(row, sums[1]);
  }
}
