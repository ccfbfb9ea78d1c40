// Rotary positions, then RMS norm of each head: x is batch x tokens x heads x (2 * half), cos and sin are tokens x half.
// `lanes` neighbouring threads have a token and go through its heads, so that its angles are read once; each thread has eight
// channels of either half, so that half is at most 8 * lanes.

KERNEL rotary_norm(Global<const T> x, Global<const T> cos, Global<const T> sin, Global<T> y, Global<float> scale, i64 rows,
                   i64 tokens, i64 heads, i64 half, int lanes, float epsilon) {
  i64 row = static_cast<i64>(blockIdx.x) * (blockDim.x / lanes) + threadIdx.x / lanes;
  i64 c = 8 * (threadIdx.x % lanes), n = row < rows ? half - c : 0, angle = row % tokens * half + c;
  Pack co = {}, si = {};
  if (n > 0) {
    co = cos.pack(angle, n);
    si = sin.pack(angle, n);
  }
  for (i64 head = 0; head < heads; head++) {
    i64 first = (row * heads + head) * 2 * half + c, second = first + half;
    Pack a = {}, b = {};
    if (n > 0) {
      Pack p = x.pack(first, n), q = x.pack(second, n);
      for (int j = 0; j < 8; j++) {
        a.v[j] = p.v[j] * co.v[j] + q.v[j] * si.v[j];
        b.v[j] = q.v[j] * co.v[j] - p.v[j] * si.v[j];
      }
    }
    float factor = rsqrtf(lanes_sum(dot(a, a) + dot(b, b), lanes) / (2 * half) + epsilon);
    if (n > 0) {
      for (int j = 0; j < 8; j++) {
        a.v[j] *= factor;
        b.v[j] *= factor;
      }
      y.store(first, n, a);
      y.store(second, n, b);
      if (c == 0) scale.set(row * heads + head, factor);
    }
  }
}

KERNEL rotary_norm_backward(Global<const T> gradient, Global<const T> y, Global<const float> scale, Global<const T> cos,
                            Global<const T> sin, Global<T> grad_x, i64 rows, i64 tokens, i64 heads, i64 half,
                            int lanes) {
  i64 row = static_cast<i64>(blockIdx.x) * (blockDim.x / lanes) + threadIdx.x / lanes;
  i64 c = 8 * (threadIdx.x % lanes), n = row < rows ? half - c : 0, angle = row % tokens * half + c;
  Pack co = {}, si = {};
  if (n > 0) {
    co = cos.pack(angle, n);
    si = sin.pack(angle, n);
  }
  for (i64 head = 0; head < heads; head++) {
    i64 first = (row * heads + head) * 2 * half + c, second = first + half;
    Pack ga = {}, gb = {}, a = {}, b = {};
    if (n > 0) {
      ga = gradient.pack(first, n);
      gb = gradient.pack(second, n);
      a = y.pack(first, n);
      b = y.pack(second, n);
    }
    float mean = lanes_sum(dot(ga, a) + dot(gb, b), lanes) / (2 * half);
    if (n > 0) {
      float factor = scale.same(row * heads + head, lanes);
      for (int j = 0; j < 8; j++) {
        float da = (ga.v[j] - a.v[j] * mean) * factor, db = (gb.v[j] - b.v[j] * mean) * factor;
        // The inverse rotation.
        ga.v[j] = da * co.v[j] - db * si.v[j];
        gb.v[j] = db * co.v[j] + da * si.v[j];
      }
      grad_x.store(first, n, ga);
      grad_x.store(second, n, gb);
    }
  }
}
