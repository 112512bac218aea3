import { checkRules } from './guard.ts';
import { checkSecurity } from './security.ts';
import { checkSpecification } from './specification.ts';
import { decide, type Template } from './template.ts';

/** Everything that is wrong with a template for a region, as sentences with places. */
export function checkTemplate(template: Template, region = 'us-east-1'): readonly string[] {
  const decided = decide(template, region);
  const rules = checkRules(decided);
  return [
    ...new Set([
      ...checkSpecification(template),
      ...checkSpecification(decided),
      ...rules.findings,
      ...rules.unused.map((rule) => `rule ${rule} found nothing to look at`),
      ...checkSecurity(decided),
    ]),
  ];
}
