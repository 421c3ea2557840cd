/* Updates of optimizers: a part of the arrays, with and without each slot. */
#include "check.h"

enum { SLOTS = 3, START = 3, MARGIN = 2 };

typedef void update(double *w, double g, double *slots, const double *hyper, int variant);

static void sgd(double *w, double g, double *slots, const double *hyper, int variant) {
    double step = -hyper[0] * g;
    *w -= *w * hyper[2];
    if (variant & 1) {
        slots[0] = slots[0] * hyper[1] + step;
        step = variant & 2 ? slots[0] * hyper[1] + step : slots[0];
    }
    *w += step;
}

static void adam(double *w, double g, double *slots, const double *hyper, int variant) {
    *w -= *w * hyper[4];
    slots[0] = slots[0] * hyper[1] + g * (1 - hyper[1]);
    slots[1] = slots[1] * hyper[2] + g * g * (1 - hyper[2]);
    if (variant & 4) slots[2] = fmax(slots[2], slots[1]);
    *w -= hyper[0] * slots[0] / (sqrt(slots[variant & 4 ? 2 : 1]) + hyper[3]);
}

static void rmsprop(double *w, double g, double *slots, const double *hyper, int variant) {
    *w -= *w * hyper[4];
    slots[0] = slots[0] * hyper[1] + g * g * (1 - hyper[1]);
    if (variant & 2) slots[1] = slots[1] * hyper[1] + g * (1 - hyper[1]);
    double step = hyper[0] * g / sqrt(slots[0] - (variant & 2 ? slots[1] * slots[1] : 0) + hyper[3]);
    if (variant & 4) step = slots[2] = slots[2] * hyper[2] + step;
    *w -= step;
}

/* `variant`: bit s for slot s. */
static void update_case(update *scalar, void (*kernel)(const fc_update *), const double *hyper, int64_t n, int variant,
                        int flag) {
    const int64_t all = START + n + MARGIN;
    const float *w = random_floats(all, -1, 1), *g = random_floats(all, -1, 1);
    output new_w = new_output(all), new_slots[SLOTS];
    fc_update u = {.w = w, .g = g, .new_w = new_w.got, .hyper = hyper, .start = START, .end = START + n, .flag = flag};
    for (int s = 0; s < SLOTS; s++) {
        new_slots[s] = new_output(all);
        if (!(variant >> s & 1)) continue;
        u.slots[s] = s ? random_floats(all, 0.5f, 1) : random_floats(all, 1.5f, 2); /* mean square > square of mean */
        u.new_slots[s] = new_slots[s].got;
    }
    for (int64_t i = u.start; i < u.end; i++) {
        double value = w[i], slots[SLOTS] = {0};
        for (int s = 0; s < SLOTS; s++) slots[s] = u.slots[s] ? u.slots[s][i] : 0;
        scalar(&value, g[i], slots, hyper, variant | flag << 1);
        put(new_w, i, value, 4);
        for (int s = 0; s < SLOTS; s++)
            if (u.slots[s]) put(new_slots[s], i, slots[s], 2);
    }
    kernel(&u);
    expect(new_w, 8);
    for (int s = 0; s < SLOTS; s++) expect(new_slots[s], 8);
    release();
}

void test_optim(void) {
    const double sgd_hyper[] = {0.05, 0.9, 1e-3}, adam_hyper[] = {0.01, 0.9, 0.999, 1e-7, 1e-3};
    const double rmsprop_hyper[] = {0.01, 0.9, 0.8, 1e-7, 1e-3};
    FOR_EACH_LENGTH (n) {
        testing("sgd");
        update_case(sgd, k->sgd, sgd_hyper, n, 0, 0);
        update_case(sgd, k->sgd, sgd_hyper, n, 1, 0);
        update_case(sgd, k->sgd, sgd_hyper, n, 1, 1);
        testing("adam");
        update_case(adam, k->adam, adam_hyper, n, 3, 0);
        update_case(adam, k->adam, adam_hyper, n, 7, 0);
        testing("rmsprop");
        for (int variant = 1; variant < 8; variant += 2) update_case(rmsprop, k->rmsprop, rmsprop_hyper, n, variant, 0);
    }
}
