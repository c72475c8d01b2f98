// What memory knows of an action against the cause of a case.

import { count } from "../format.js";

/** @param {import("../records.js").Cell[]} record of the case's cause @param {string} action */
export function recordOf(record, action) {
  const cell = record.find((one) => one.action === action);
  return cell?.tried ? `cured ${count(cell.cured)} of ${count(cell.tried)}` : "not tried yet";
}
