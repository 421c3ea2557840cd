/* Pointwise kernels. */
#include "check.h"

static void test_activate(void) {
    testing("activate");
    for (int f = 0; f < ACTIVATIONS; f++)
        FOR_EACH_LENGTH (n) {
            const fc_activation a = {f, 0.25f, 1.5f};
            float *x = random_floats(n, -12, 12);
            if (n > 8) x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = -0.0f, x[4] = 200, x[5] = -200;
            if (n > 8) x[n - 1] = NAN;
            output y = new_output(n);
            for (int64_t i = 0; i < n; i++) {
                const double value = activation(x[i], a);
                /* An exponent that is itself rounded: so much larger is the relative error in the tail. */
                const double tail = (f == FC_ACT_GELU || f == FC_ACT_GELU_TANH) && x[i] < 0 ? 1 + x[i] * x[i] : 1;
                put(y, i, value, f <= FC_ACT_CLIP ? 0 : tail * fabs(value) + 0x1p-96);
            }
            k->activate(x, y.got, n, a);
            expect(y, ACTIVATION_ROUNDINGS);
            memcpy(y.got, x, n * sizeof *x);
            k->activate(y.got, y.got, n, a);
            expect(y, ACTIVATION_ROUNDINGS);
            release();
        }
}

static void test_activate_backward(void) {
    testing("activate_backward");
    for (int f = 0; f < ACTIVATIONS; f++)
        FOR_EACH_LENGTH (n) {
            const fc_activation a = {f, 0.25f, 1.5f};
            float *v = random_floats(n, f == FC_ACT_SOFTPLUS ? 0 : -1, f == FC_ACT_CLIP ? 2 : 1);
            float *dy = random_floats(n, -1, 1);
            if (n > 8 && f) v[0] = v[n - 1] = NAN, v[1] = 0;
            output dx = new_output(n);
            for (int64_t i = 0; i < n; i++)
                put(dx, i, isnan(v[i]) ? NAN : dy[i] * activation_slope(v[i], a), f <= FC_ACT_CLIP ? 0 : 1);
            k->activate_backward(v, dy, dx.got, n, a);
            expect(dx, f < FUSED_BACKWARD ? 4 : ACTIVATION_ROUNDINGS);
            release();
        }
}

static void test_add_n(void) {
    testing("add_n");
    FOR_EACH (count, 1, 2, 3, 5)
        FOR_EACH (start, 0, 3)
            FOR_EACH_LENGTH (n) {
                const float *x[5];
                for (int64_t j = 0; j < count; j++) x[j] = random_floats(start + n, -1, 1);
                output y = new_output(start + n);
                for (int64_t i = start; i < start + n; i++) {
                    float sum = x[0][i]; /* the order is promised, so the bits are */
                    for (int64_t j = 1; j < count; j++) sum += x[j][i];
                    put(y, i, sum, 0);
                }
                k->add_n(x, count, y.got, start, n);
                expect(y, 0);
                release();
            }
}

void test_eltwise(void) {
    test_activate();
    test_activate_backward();
    test_add_n();
}
