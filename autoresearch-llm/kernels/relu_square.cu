// relu(x)^2 and its gradient, which is made of the square alone: 2 * relu(x) is 2 * sqrt(y). Eight elements a thread.

KERNEL relu_square(Global<const T> x, Global<T> y) {
  i64 at = 8 * (static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x), n = x.count - at;
  if (n <= 0) return;
  Pack v = x.pack(at, n);
  for (int j = 0; j < 8; j++) {
    // As libtorch's relu, which lets a NaN through.
    float positive = v.v[j] < 0 ? 0 : v.v[j];
    v.v[j] = positive * positive;
  }
  y.store(at, n, v);
}

// In place: the gradient of y becomes that of x.
KERNEL relu_square_backward(Global<const T> y, Global<T> gradient) {
  i64 at = 8 * (static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x), n = y.count - at;
  if (n <= 0) return;
  Pack g = gradient.pack(at, n), square = y.pack(at, n);
  for (int j = 0; j < 8; j++) g.v[j] *= 2 * sqrtf(square.v[j]);
  gradient.store(at, n, g);
}
