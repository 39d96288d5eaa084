// The charts: SVG made here, in a fixed grid that the page scales. Each has its numbers as a table too, for those who do not see it.

import type { ComponentChildren, VNode } from "preact";

const WIDTH = 420;
const HEIGHT = 160;
const LEFT = 52;
const TOP = 8;
const BOTTOM = 20;
const INNER = HEIGHT - TOP - BOTTOM;

export interface Series { name: string; colour: "c1" | "c2" | "c3" | "c4"; values: (number | null)[] }

interface ChartProps { title: string; days: string[]; series: Series[]; format(value: number): string; kind: "bars" | "lines" }

/** The smallest of 2, 4, 6, 8, 10, 20, 40 … that is not below a value: half of it is as round. */
export function ceiling(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999_999) ?? value;
}

export function Chart({ title, days, series, format, kind }: ChartProps): VNode {
  const sums = days.map((_, day) => series.reduce((sum, { values }) => sum + (values[day] ?? 0), 0));
  const most = kind === "bars" ? Math.max(...sums, 0) : Math.max(...series.flatMap(({ values }) => values.map((value) => value ?? 0)), 0);
  const top = ceiling(most);
  const y = (value: number): number => TOP + INNER - (value / top) * INNER;
  const step = (WIDTH - LEFT) / days.length;
  return (
    <section class="box">
      <h2>{title}</h2>
      <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title}, by day; the numbers are in the table that follows`}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}>
            <line x1={LEFT} x2={WIDTH} y1={y(top * part)} y2={y(top * part)} />
            <text x={LEFT - 6} y={y(top * part) + 3} text-anchor="end">{format(top * part)}</text>
          </g>
        ))}
        {kind === "bars" ? <Bars days={days} series={series} step={step} y={y} format={format} /> : <Lines series={series} step={step} y={y} />}
        {days.map((day, index) => (
          index % Math.ceil(days.length / 7) === 0
            ? <text key={day} x={LEFT + (index + 0.5) * step} y={HEIGHT - 5} text-anchor="middle">{day.slice(5)}</text>
            : null
        ))}
      </svg>
      {series.length > 1
        ? <p class="legend">{series.map(({ name, colour }) => <span key={name}><i class={colour} />{name}</span>)}</p>
        : null}
      {/* Around the table: one by itself would be as wide as its words. */}
      <div class="hidden"><table>
        <caption>{title}</caption>
        <thead><tr><th scope="col">Day</th>{series.map(({ name }) => <th key={name} scope="col">{name}</th>)}</tr></thead>
        <tbody>
          {days.map((day, index) => (
            <tr key={day}>
              <th scope="row">{day}</th>
              {series.map(({ name, values }) => <td key={name}>{values[index] == null ? "–" : format(values[index]!)}</td>)}
            </tr>
          ))}
        </tbody>
      </table></div>
    </section>
  );
}

interface InsideProps { series: Series[]; step: number; y(value: number): number }

function Bars({ days, series, step, y, format }: InsideProps & { days: string[]; format(value: number): string }): ComponentChildren {
  return days.map((day, index) => {
    let below = 0;
    return (
      <g key={day}>
        {series.map(({ name, colour, values }) => {
          const value = values[index] ?? 0;
          if (value <= 0) return null;
          const from = y(below);
          below += value;
          return (
            <rect key={name} class={colour} x={LEFT + index * step + step * 0.15} width={step * 0.7} y={y(below)} height={Math.max(0, from - y(below))} rx="1.5">
              <title>{`${day}: ${name} ${format(value)}`}</title>
            </rect>
          );
        })}
      </g>
    );
  });
}

/** A day without a value interrupts the line. */
function Lines({ series, step, y }: InsideProps): ComponentChildren {
  return series.map(({ name, colour, values }) => {
    const parts: string[][] = [[]];
    values.forEach((value, index) => {
      if (value === null) parts.push([]);
      else parts.at(-1)!.push(`${(LEFT + (index + 0.5) * step).toFixed(1)},${y(value).toFixed(1)}`);
    });
    return (
      <g key={name}>
        {parts.filter((part) => part.length > 1).map((part) => <polyline key={part[0]} class={colour} points={part.join(" ")} />)}
        {parts.flat().map((point) => <circle key={point} class={colour} cx={point.split(",")[0]} cy={point.split(",")[1]} r="2.5" />)}
      </g>
    );
  });
}
