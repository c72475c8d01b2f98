// The page begins here.

import { h, render } from "preact";
import { follow } from "./live.js";
import { App } from "./shell/app.js";

const place = document.getElementById("app");
if (place) render(h(App, {}), place);
follow();
