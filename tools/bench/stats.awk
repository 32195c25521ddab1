# SPDX-License-Identifier: Apache-2.0
#
# What the page and the plots share: reads peers.txt, figures.txt, rows.txt and then the figures of
# all rows (row, setting, peer, metric, value, unit, tab-separated), and gives medians, spreads and
# ratios.  Invents nothing: what was not measured is a dash.

BEGIN {
    dash = "–"
}

FNR == 1 {
    file++
    FS = file < 4 ? "|" : "\t"
    $0 = $0
}

/^#/ {
    if (file == 4) {
        measured[++nmeasured] = $0
    }
    next
}

file == 1 {
    peers[++npeers] = $1
    name[$1] = $2
    has_stacks[$1] = $3 == "yes"
}

file == 2 {
    figures_of[$2] = figures_of[$2] " " $1
    title[$1] = $3
    goal_of[$1, 1] = $4 + 0; goal_of[$1, 2] = $5 + 0
    share_of[$1, 1] = $6 + 0; share_of[$1, 2] = $7 + 0
}

file == 3 {
    rows_of[$2] = rows_of[$2] " " $1
    kind[$1] = $3
    size_of[$1] = $5
    peers_of[$1] = $9
    if ($10 != "-") {
        title[$1] = $10
    }
    aim[$1] = $11
}

file == 4 && NF == 6 {
    key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4
    have[$2 ~ /^n[0-9]/ ? "grow_coroutines" : $1] = 1
    value[key, ++count[key]] = $5 + 0
    sorted[key] = 0
}

# value[key, 1 .. n] in order: few values, so an insertion sort does.
function sort_values(key, n, i, j, v)
{
    if (sorted[key]) {
        return
    }
    for (i = 2; i <= n; i++) {
        v = value[key, i]
        for (j = i - 1; j > 0 && value[key, j] > v; j--) {
            value[key, j + 1] = value[key, j]
        }
        value[key, j + 1] = v
    }
    sorted[key] = 1
}

# The median, or -1 where nothing was measured.
function med(row, setting, peer, metric, key, n)
{
    key = row SUBSEP setting SUBSEP peer SUBSEP metric
    n = count[key]
    if (n == 0) {
        return -1
    }
    sort_values(key, n)
    return n % 2 ? value[key, (n + 1) / 2] : (value[key, n / 2] + value[key, n / 2 + 1]) / 2
}

function number(v)
{
    return v >= 1000 ? sprintf("%.0f", v) : v >= 100 ? sprintf("%.1f", v) : sprintf("%.3g", v)
}

function cell(row, setting, peer, metric, key, m)
{
    key = row SUBSEP setting SUBSEP peer SUBSEP metric
    m = med(row, setting, peer, metric)
    if (m < 0) {
        return dash
    }
    if (count[key] == 1) {
        return number(m)
    }
    return number(m) " (" number(value[key, 1]) " to " number(value[key, count[key]]) ")"
}

function plain(row, setting, peer, metric, m)
{
    m = med(row, setting, peer, metric)
    return m < 0 ? dash : number(m)
}

function ratio(a, b)
{
    return a < 0 || b <= 0 ? dash : sprintf("%.2f", a / b)
}

# Splits a list of names into those that were measured; how many.
function split_measured(names, list, all, n, i, k)
{
    n = split(names, all, " ")
    for (i = 1; i <= n; i++) {
        if (all[i] in have) {
            list[++k] = all[i]
        }
    }
    return k + 0
}
