// Says that what is shown is old, and since when.

import { clock, span } from "../format.js";
import { html } from "../html.js";
import { Icon } from "../parts/icon.js";
import { link, second } from "../state.js";
import { useStore } from "../store.js";

export function Banner() {
  const { state, heard } = useStore(link);
  useStore(second, (n) => (link.value.state === "stale" ? n : 0));
  const stale = state === "stale";
  document.body.classList.toggle("stale", stale);
  if (!stale) return null;
  return html`<div class="banner" role="alert"><${Icon} name="exhausted" />
    <span><strong>The connection is lost.</strong> What you see is as of ${clock(heard / 1000)},
    ${" "}${span((Date.now() - heard) / 1000)} ago. Orders wait until it is back.</span></div>`;
}
