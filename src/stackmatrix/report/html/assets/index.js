// All runs: one chart per workload.
ROWS.trend = (slug) => DATA.trends[slug].map((row) => ({ ...row, ...DATA.looks[row.stack] }));
for (const plot of all(".plot")) inView.observe(plot);
