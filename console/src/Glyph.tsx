// The icons, drawn here: no font, no picture from elsewhere.

import type { VNode } from "preact";

const PATHS = {
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5",
  menu: "M4 7h16M4 12h16M4 17h16",
  bell: "M6 10a6 6 0 1 1 12 0c0 5 2 6 2 7H4c0-1 2-2 2-7M10 20a2.2 2.2 0 0 0 4 0",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7.500 7.500h9v9h-9z",
  edit: "M4 20h4L19 9l-4-4L4 16zM13.5 6.5l4 4",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13",
  up: "M7 11v9H4v-9zM7 11l4-8c1.7 0 2.6 1 2.6 2.4L13 9h5.5c1.3 0 2.2 1.1 1.9 2.4l-1.5 7c-.2 1-1 1.6-2 1.6H7",
  down: "M17 13V4h3v9zM17 13l-4 8c-1.7 0-2.6-1-2.6-2.4L11 15H5.500c-1.3 0-2.2-1.1-1.9-2.4l1.5-7c.2-1 1-1.6 2-1.6H17",
  again: "M20 11a8 8 0 1 0-.6 4M20 5v6h-6",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  comment: "M4 6.500A2.500 2.500 0 0 1 6.500 4h11A2.500 2.500 0 0 1 20 6.500v7a2.500 2.500 0 0 1-2.500 2.500H12l-5 4v-4h-.5A2.500 2.500 0 0 1 4 13.500z",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 12.500l4.500 4.500L19 7.500",
  light: "M12 16.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M18.700 5.300l-1.400 1.400M6.700 17.300l-1.400 1.400",
  dark: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  auto: "M12 20.500a8.500 8.500 0 1 0 0-17zM12 20.500a8.500 8.500 0 1 1 0-17",
  leave: "M14 5H6v14h8M11 12h9M17 9l3 3-3 3",
  end: "M12 5v14M6 13l6 6 6-6",
} as const;

export type GlyphName = keyof typeof PATHS;

export function Glyph({ name }: { name: GlyphName }): VNode {
  return (
    <svg class="glyph" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Mark(): VNode {
  return <img class="mark" src="/assets/icon.svg" alt="" width="32" height="32" />;
}
