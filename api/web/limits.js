/**
 * The sentence on what limits the store, in the language of the page. The server tells it in English, made of a
 * few kinds of clauses; each is said again in Chinese, and one that is of no known kind stays as it is.
 */

import { lang } from "./i18n.js";

const VERDICTS = {
  "What breaks limits the store": "故障限制了库房",
  "The people limit the store": "人员限制了库房",
  "The robot limits the store": "机器人限制了库房",
  "Supply limits the store": "供货限制了库房",
  "Room in the racks limits the store": "货位不足限制了库房",
  "Put-away limits the store": "上架限制了库房",
  "The shifts limit the store": "班次限制了库房",
  "Nothing works near its limit": "没有环节接近极限",
};

/** Kinds of clauses, with what stands for each in Chinese. @type {[RegExp, (...parts: string[]) => string][]} */
const CLAUSES = [
  [/^The (\d+) robots limit the store$/, (n) => `${n} 台机器人限制了库房`],
  [/^the (?:(\d+) robots were|robot was) busy ([\d.]+) % of the last hour and (.*)$/, (n, share, rest) => `${n ? `${n} 台` : ""}机器人最近一小时忙 ${share} %，${inChinese(rest)}`],
  [/^there is no robot and (.*)$/, (rest) => `没有机器人，${inChinese(rest)}`],
  [/^people ([\d.]+) % of their shift time$/, (share) => `人员忙 ${share} % 的当班时间`],
  [/^there are no people$/, () => "没有人员"],
  [/^the next shift begins on (\S+) at (\S+)$/, (day, time) => `下一班 ${day} ${time} 开始`],
  [/^(\d+) of (\d+) robots? (?:is|are) out of order$/, (n, all) => `${all} 台机器人中 ${n} 台故障`],
  [/^([\d,]+) tasks? (?:has waited|wait, the oldest) for (.*)$/, (n, waited) => `${n} 个任务等待，最久 ${waited.replace(/ ?min(utes?)?/, " 分").replace(/ ?h(ours?)?/, " 小时").replace(/ ?s(econds?)?$/, " 秒")}`],
  [/^([\d,]+) of ([\d,]+) open orders? (?:is|are) short of stock$/, (n, all) => `${all} 个未完成领用单中 ${n} 个缺货`],
  [/^([\d,]+) box(?:es)? found no slot$/, (n) => `${n} 箱没有可用货位`],
  [/^([\d,]+) box(?:es)? found staging full$/, (n) => `${n} 箱因暂存区已满而外存`],
];

function inChinese(clause) {
  if (VERDICTS[clause]) return VERDICTS[clause];
  for (const [kind, words] of CLAUSES) {
    const found = kind.exec(clause);
    if (found) return words(...found.slice(1));
  }
  return clause;
}

/** @param {string} sentence */
export function limitsIn(sentence) {
  if (lang !== "zh") return sentence;
  const [verdict, ...rest] = sentence.replace(/\.$/, "").split(": ");
  return `${inChinese(verdict)}：${rest.join(": ").split("; ").map(inChinese).join("；")}。`;
}
