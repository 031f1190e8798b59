/* SPDX-License-Identifier: MIT */
#include "shared/scaling.h"

#include "shared/base.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>

/*
 * With a = 1/X1, b = sigma/X1 and c = kappa/X1 the USL says n / X(n) = a + b (n - 1) + c n (n - 1), and the constraints
 * are 0 <= b <= a and 0 <= c. The least squares under them lie on one of a few faces: b is free, 0 or a, and c is
 * free or 0. Each face is an unconstrained problem; the best of those whose solution is allowed is the solution.
 */
enum term { ONE, LESS_ONE, ALL, PAIRS };

#define TERMS_MAX 3

/* Fewest terms first: a face must be better than those before it by more than rounding. */
static const struct face {
        size_t n;
        enum term terms[TERMS_MAX];
} faces[] = {
        {1, {ONE}}, {1, {ALL}}, {2, {ONE, LESS_ONE}}, {2, {ONE, PAIRS}}, {2, {ALL, PAIRS}}, {3, {ONE, LESS_ONE, PAIRS}},
};

/* Of them those of Amdahl's law. */
#define AMDAHL_FACES 3

/* Sums of squared relative residuals that differ by less are the same. */
#define SAME 1e-16

struct solution {
        double a, b, c, squares;
};

static double
term_value(enum term term, double workers)
{
        switch (term) {
        case ONE:
                return 1;
        case LESS_ONE:
                return workers - 1;
        case ALL:
                return workers;
        case PAIRS:
                return workers * (workers - 1);
        }
        return 0;
}

static double
dot(const double *x, const double *y, size_t n)
{
        double sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += x[i] * y[i];
        return sum;
}

/* Takes from y its part along the unit vector q; returns that part's length. */
static double
project_out(double *y, const double *q, size_t n)
{
        double length = dot(y, q, n);

        for (size_t i = 0; i < n; i++)
                y[i] -= length * q[i];
        return length;
}

/* Least squares of sum_k x[k] columns[k][i] = 1 by modified Gram-Schmidt; destroys the columns. Returns the sum of
 * the squared residuals. */
static double
solve(double columns[TERMS_MAX][SCALING_MAX], size_t n_columns, size_t n, double *ret_x)
{
        double r[TERMS_MAX][TERMS_MAX], along[TERMS_MAX], rest[SCALING_MAX];

        for (size_t i = 0; i < n; i++)
                rest[i] = 1;
        for (size_t k = 0; k < n_columns; k++) {
                r[k][k] = sqrt(dot(columns[k], columns[k], n));
                for (size_t i = 0; i < n; i++)
                        columns[k][i] /= r[k][k];
                for (size_t j = k + 1; j < n_columns; j++)
                        r[k][j] = project_out(columns[j], columns[k], n);
                along[k] = project_out(rest, columns[k], n);
        }
        for (size_t k = n_columns; k-- > 0;) {
                ret_x[k] = along[k];
                for (size_t j = k + 1; j < n_columns; j++)
                        ret_x[k] -= r[k][j] * ret_x[j];
                ret_x[k] /= r[k][k];
        }
        return dot(rest, rest, n);
}

/* The best on one face, with y[i] = n / X(n); false when the constraints forbid it. */
static bool
solve_face(const struct face *face, const unsigned *workers, const double *y, size_t n, struct solution *ret)
{
        double columns[TERMS_MAX][SCALING_MAX], x[TERMS_MAX];
        struct solution s = {};

        for (size_t k = 0; k < face->n; k++)
                for (size_t i = 0; i < n; i++)
                        columns[k][i] = term_value(face->terms[k], workers[i]) / y[i];
        s.squares = solve(columns, face->n, n, x);
        for (size_t k = 0; k < face->n; k++) {
                if (face->terms[k] == ONE || face->terms[k] == ALL)
                        s.a += x[k];
                if (face->terms[k] == LESS_ONE || face->terms[k] == ALL)
                        s.b += x[k];
                if (face->terms[k] == PAIRS)
                        s.c += x[k];
        }
        *ret = s;
        return s.a > 0 && s.b >= 0 && s.b <= s.a && s.c >= 0;
}

/* The first faces hold a term each and are always allowed, so there is a solution. */
static struct solution
solve_constrained(const unsigned *workers, const double *y, size_t n, size_t n_faces)
{
        struct solution best = {.squares = INFINITY}, s;

        for (size_t i = 0; i < n_faces; i++)
                if (solve_face(&faces[i], workers, y, n, &s) && s.squares < best.squares - SAME)
                        best = s;
        return best;
}

static bool
is_curve(const unsigned *workers, const double *throughput, size_t n)
{
        if (n < 2 || n > SCALING_MAX)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (workers[i] == 0 || !isfinite(throughput[i]) || throughput[i] <= 0)
                        return false;
                for (size_t j = 0; j < i; j++)
                        if (workers[i] == workers[j])
                                return false;
        }
        return true;
}

int
scaling_fit(const unsigned *workers, const double *throughput, size_t n, struct scaling_fit *ret)
{
        double y[SCALING_MAX];
        struct solution amdahl, usl;

        if (!is_curve(workers, throughput, n))
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                y[i] = workers[i] * (throughput[0] / throughput[i]);
        amdahl = solve_constrained(workers, y, n, AMDAHL_FACES);
        usl = n == 2 ? amdahl : solve_constrained(workers, y, n, ARRAY_SIZE(faces));

        *ret = (struct scaling_fit){
                .gain = 1 / usl.a,
                .serial = amdahl.b / amdahl.a,
                .sigma = usl.b / usl.a,
                .kappa = usl.c / usl.a,
                .rms_relative = sqrt(usl.squares / (double)n),
        };
        if (ret->kappa > 0)
                ret->peak = fmax(1, sqrt((1 - ret->sigma) / ret->kappa));
        return 0;
}
