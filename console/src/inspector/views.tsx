// What the inspector shows: one view for each question of an operator. Reads; there is nothing here to press that changes anything.

import type { ComponentChildren, VNode } from "preact";
import { useState } from "preact/hooks";
import type { TokenKeeper } from "../token.ts";
import { length, whole } from "../when.ts";
import { type Connection, type Day, type Message, type Now, type Pending, type PromptMessage, type Run, type Session, sessionPath } from "./api.ts";
import { Chart } from "./charts.tsx";
import { type Data, useData } from "./useData.ts";

const OFTEN_MS = 3_000;
const SELDOM_MS = 30_000;

type ViewProps = { tokens: TokenKeeper };

export function Overview({ tokens }: ViewProps): VNode {
  const now = useData<Now>(tokens, "/inspect/now", OFTEN_MS);
  const days = useData<{ days: Day[] }>(tokens, "/inspect/days?days=14", SELDOM_MS);
  return (
    <>
      <Loaded data={now}>
        {({ counts, nodes, node_id }) => (
          <>
            <div class="tiles">
              <Tile value={counts.connections} name="live connections" />
              <Tile value={counts.users} name="users connected" />
              <Tile value={counts.running} name="answers being written" />
              <Tile value={counts.queued} name="questions waiting" />
              <Tile value={counts.undelivered} name="notifications undelivered" />
              <Tile value={counts.sessions} name="sessions kept" />
            </div>
            <section class="box">
              <h2>Processes</h2>
              <Table head={["Node", "Version", "Started", "Lease until"]} rows={nodes.map((node) => [
                node.node_id === node_id ? `${node.node_id} (this one)` : node.node_id, node.version, <Moment of={node.started_at} />, <Moment of={node.lease_until} />,
              ])} />
            </section>
          </>
        )}
      </Loaded>
      <Loaded data={days}>{({ days }) => <Charts days={days} />}</Loaded>
    </>
  );
}

function Charts({ days }: { days: Day[] }): VNode {
  const names = days.map(({ day }) => day);
  const whole = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));
  const unknown = days.reduce((sum, day) => sum + day.answers_without_cost, 0);
  return (
    <div class="boxes">
      <Chart title="Runs" kind="bars" days={names} format={whole} series={[
        { name: "complete", colour: "c1", values: days.map((day) => day.complete) },
        { name: "cancelled", colour: "c2", values: days.map((day) => day.cancelled) },
        { name: "failed or incomplete", colour: "c3", values: days.map((day) => day.failed) },
        { name: "not ended", colour: "c4", values: days.map((day) => day.runs - day.complete - day.cancelled - day.failed) },
      ]} />
      <Chart title="Time to the first word" kind="lines" days={names} format={length} series={[
        { name: "half of the answers within", colour: "c1", values: days.map((day) => day.first_token_p50_ms) },
        { name: "95 of 100 within", colour: "c4", values: days.map((day) => day.first_token_p95_ms) },
      ]} />
      <Chart title={unknown > 0 ? `Cost in US dollars (not known of ${unknown})` : "Cost in US dollars"} kind="bars" days={names} format={money} series={[
        { name: "cost", colour: "c1", values: days.map((day) => day.cost_usd) },
      ]} />
      <Chart title="Tokens" kind="bars" days={names} format={compact} series={[
        { name: "of prompts", colour: "c2", values: days.map((day) => day.input_tokens) },
        { name: "of answers", colour: "c1", values: days.map((day) => day.output_tokens) },
      ]} />
    </div>
  );
}

export function Connections({ tokens }: ViewProps): VNode {
  const now = useData<Now>(tokens, "/inspect/now", OFTEN_MS);
  return (
    <Loaded data={now}>
      {({ connections, counts, limit }) => (
        <section class="box">
          <h2>Live connections <small>{shown(connections.length, counts.connections, limit)}</small></h2>
          <Table none="Nobody is connected." head={["User", "Session", "Device", "Node", "Since"]} rows={connections.map((row: Connection) => [
            row.user_id, row.session_id ? <SessionLink user={row.user_id} session={row.session_id} title={row.session_title} /> : "–",
            row.device_id ?? "–", row.node_id, <Moment of={row.connected_at} />,
          ])} />
        </section>
      )}
    </Loaded>
  );
}

export function Sessions({ tokens }: ViewProps): VNode {
  const [text, setText] = useState("");
  const [find, setFind] = useState("");
  const sessions = useData<{ sessions: Session[]; limit: number }>(tokens, `/inspect/sessions?find=${encodeURIComponent(find)}`, SELDOM_MS / 3);
  return (
    <>
      <form class="find" role="search" onSubmit={(event) => { event.preventDefault(); setFind(text.trim()); }}>
        <label class="hidden" for="find">A user or a session, exactly</label>
        <input id="find" type="search" placeholder="A user or a session's id, exactly" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <button type="submit">Find</button>
      </form>
      <Loaded data={sessions}>
        {({ sessions, limit }) => (
          <section class="box">
            <h2>Sessions <small>most recently active first{sessions.length === limit ? `, the first ${limit}` : ""}</small></h2>
            <Table none={find ? "No such user or session." : "There are no sessions yet."} head={["Session", "User", "Messages", "Now", "Tokens", "Cost", "Active"]} numbers={[2, 4, 5]} rows={sessions.map((row) => [
              <SessionLink user={row.user_id} session={row.session_id} title={row.title} />, row.user_id, row.messages,
              row.running_run_id ? <Pill state="running" /> : row.waiting_runs > 0 ? <Pill state="queued" /> : "–",
              compact(row.input_tokens + row.output_tokens), money(row.cost_usd), <Moment of={row.last_activity_at} />,
            ])} />
          </section>
        )}
      </Loaded>
    </>
  );
}

export function OneSession({ tokens, user, session }: ViewProps & { user: string; session: string }): VNode {
  const [before, setBefore] = useState<number>();
  const path = `/inspect/session?${sessionPath(user, session)}${before === undefined ? "" : `&before=${before}`}`;
  const data = useData<{ messages: Message[]; runs: Run[]; limit: number }>(tokens, path, before === undefined ? OFTEN_MS : 0);
  return (
    <>
      <p class="crumbs"><a href="#sessions">Sessions</a> › {user} › <span class="mono">{session}</span></p>
      <Loaded data={data}>
        {({ messages, runs, limit }) => (
          <>
            <section class="box">
              <h2>Runs <small>newest first</small></h2>
              <p class="legend"><span><i class="c2" />waiting</span><span><i class="c4" />until the first word</span><span><i class="c1" />writing</span></p>
              <Table none="Nothing was asked yet." head={["Run", "State", "Timeline", "Queued", "Waited", "First word", "Writing", "Attempt", "Model", "Cost"]} numbers={[4, 5, 6, 7, 9]} rows={runs.map((run) => timeline(user, session, run))} />
            </section>
            <section class="box">
              <h2>Transcript</h2>
              {messages.length === 0 ? <p class="nothing">Nothing was said{before === undefined ? " yet" : " before that"}.</p> : null}
              {messages.map((message) => <Said key={message.seq} {...message} />)}
              {messages.length === limit && messages[0]!.seq > 1 ? <button onClick={() => setBefore(messages[0]!.seq)}>Earlier messages</button> : null}
              {before === undefined ? null : <button onClick={() => setBefore(undefined)}>The newest</button>}
            </section>
          </>
        )}
      </Loaded>
    </>
  );
}

/** A run as a row: what it waited for, and for how long. */
function timeline(user: string, session: string, run: Run): ComponentChildren[] {
  const at = (moment: string | null): number | undefined => (moment === null ? undefined : Date.parse(moment));
  const now = Date.now();
  const queued = at(run.queued_at)!;
  const ended = at(run.ended_at) ?? now;
  const started = at(run.started_at) ?? ended;
  const first = at(run.first_token_at) ?? ended;
  const whole = Math.max(1, ended - queued);
  const parts = [["c2", started - queued], ["c4", first - started], ["c1", ended - first]] as const;
  let from = 0;
  const bar = (
    <svg class="line-of-time" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={parts.map(([, ms]) => length(Math.max(0, ms))).join(", ")}>
      {parts.map(([colour, ms]) => {
        const x = from;
        const width = (Math.max(0, ms) / whole) * 100;
        from += width;
        return <rect key={colour} class={colour} x={x} width={width} y="0" height="6" />;
      })}
    </svg>
  );
  return [
    <a class="mono" href={`#prompt?${sessionPath(user, session)}&run=${run.run_id}`}>question {run.query_seq}</a>,
    <><Pill state={run.state} /> {run.error_code ?? ""}</>, bar, <Moment of={run.queued_at} />,
    length(started - queued), run.first_token_at ? length(first - started) : "–", run.first_token_at ? length(ended - first) : "–",
    run.attempt, run.model ?? run.requested_model ?? "–", run.cost_usd === null ? "–" : money(run.cost_usd),
  ];
}

export function Prompt({ tokens, user, session, run }: ViewProps & { user: string; session: string; run: string }): VNode {
  const data = useData<{ messages: PromptMessage[]; system_prompt_now: string }>(tokens, `/inspect/prompt?${sessionPath(user, session)}&run=${encodeURIComponent(run)}`, 0);
  return (
    <>
      <p class="crumbs"><a href="#sessions">Sessions</a> › <a href={`#session?${sessionPath(user, session)}`}>{user}</a> › what the model saw</p>
      <Loaded data={data}>
        {({ messages, system_prompt_now }) => (
          <section class="box">
            <h2>What the model saw <small>in its order</small></h2>
            <div class="said">
              <p class="meta"><b>system</b><span>today's setting: it is not stored with the run</span></p>
              <pre>{system_prompt_now}</pre>
            </div>
            {messages.length === 0 ? <p class="nothing">Nothing yet: the run has not begun, or there is no such run.</p> : null}
            {messages.map((message) => (
              <div key={message.position} class="said">
                <p class="meta"><b>{message.role ?? "removed"}</b><span>message {message.seq}</span></p>
                <Text content={message.content ?? "(removed by retention since)"} length={message.length ?? 0} />
              </div>
            ))}
          </section>
        )}
      </Loaded>
    </>
  );
}

export function Notifications({ tokens }: ViewProps): VNode {
  const data = useData<{ notifications: Pending[]; limit: number }>(tokens, "/inspect/notifications", OFTEN_MS);
  return (
    <Loaded data={data}>
      {({ notifications, limit }) => (
        <section class="box">
          <h2>Not acknowledged <small>the oldest first{notifications.length === limit ? `, the first ${limit}` : ""}</small></h2>
          <Table none="Everything was acknowledged." head={["Since", "User", "Notification", "Kind", "Priority", "Due"]} wide={[2]} rows={notifications.map((row) => [
            <Moment of={row.created_at} />, row.user_id, <>{row.title ? <b>{row.title}: </b> : null}<Text content={row.content} length={row.content.length} inline /></>, row.kind, row.priority,
            row.due ? "now" : row.deliver_after ? <Moment of={row.deliver_after} /> : "–",
          ])} />
        </section>
      )}
    </Loaded>
  );
}

function Said(message: Message): VNode {
  const tokens = message.output_tokens === null ? "" : `${message.input_tokens ?? "?"} + ${message.output_tokens} tokens`;
  return (
    <div class="said">
      <p class="meta">
        <b>{message.role}</b><span>{message.seq}</span><Moment of={message.created_at} />
        {message.state === "complete" ? null : <Pill state={message.state} />}
        {message.error_code ? <span>{message.error_code}</span> : null}
        {message.model ? <span>{message.model}</span> : null}{tokens ? <span>{tokens}</span> : null}
        {message.cost_usd === null ? null : <span>{money(message.cost_usd)}</span>}
        {message.cleared ? <span>cleared: the model no longer sees it</span> : null}
        {message.rating === null ? null : <span>rated {message.rating > 0 ? "up" : message.rating < 0 ? "down" : "neutral"}{message.comment ? `: ${message.comment}` : ""}</span>}
      </p>
      <Text content={message.content} length={message.length} />
    </div>
  );
}

function Text({ content, length, inline }: { content: string; length: number; inline?: boolean }): VNode {
  const shown = [...content].length;
  const more = length > shown ? ` … (the first ${shown} of ${length} characters)` : "";
  return inline ? <>{content}{more}</> : <pre>{content}{more}</pre>;
}

/** What is there, or why it is not. */
function Loaded<T>({ data, children }: { data: Data<T>; children: (value: T) => ComponentChildren }): VNode {
  return (
    <>
      {data.fault ? <p class="note bad" role="alert"><span class="grow">{data.fault.message}{data.value ? " What follows is older." : ""}</span></p> : null}
      {data.value ? children(data.value) : data.fault ? null : <p class="nothing" role="status">Loading…</p>}
    </>
  );
}

interface TableProps { head: string[]; rows: ComponentChildren[][]; none?: string; numbers?: number[]; wide?: number[] }

function Table({ head, rows, none, numbers = [], wide = [] }: TableProps): VNode {
  if (rows.length === 0) return <p class="nothing">{none ?? "Nothing."}</p>;
  const kind = (column: number): string => (numbers.includes(column) ? "number" : wide.includes(column) ? "wide" : "");
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={`Table: ${head.join(", ")}`}>
      <table>
        <thead><tr>{head.map((name, column) => <th key={name} scope="col" class={kind(column)}>{name}</th>)}</tr></thead>
        <tbody>{rows.map((row, index) => <tr key={index}>{row.map((cell, column) => <td key={column} class={kind(column)}>{cell}</td>)}</tr>)}</tbody>
      </table>
    </div>
  );
}

function SessionLink({ user, session, title }: { user: string; session: string; title: string | null }): VNode {
  return <a href={`#session?${sessionPath(user, session)}`}>{title ?? `Session ${session.slice(0, 8)}…`}</a>;
}

function Tile({ value, name }: { value: number; name: string }): VNode {
  return <div class="tile"><b>{compact(value)}</b><span>{name}</span></div>;
}

function Pill({ state }: { state: string }): VNode {
  return <span class={`pill ${state}`}>{state}</span>;
}

function Moment({ of }: { of: string }): VNode {
  return <time dateTime={of}>{whole(of)}</time>;
}

function shown(rows: number, all: number, limit: number): string {
  return rows === limit && all > rows ? `the newest ${rows} of ${all}` : String(all);
}

const COMPACT = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

function compact(value: number): string {
  return COMPACT.format(value);
}

function money(value: number): string {
  return value === 0 ? "$0" : value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(2)}`;
}
